"""Multi-head latent attention (DeepSeek-V2): keys and values from one small vector per token."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Real

from attn_jax.ops.heads.multi_head import multi_head_scores, multi_head_weigh
from attn_jax.ops.normalizers.softmax import Normalizer, softmax
from attn_jax.ops.shapes import check_features
from attn_jax.ops.stages import add_bias, prepare_heads


def latent_keys(
    latent: Real[Array, "*b k c"], rotary_key: Real[Array, "*b k r"], w_key: Real[Array, "c h d"]
) -> Float[Array, "*b k h d_and_r"]:
    r"""Return the keys of every head, :math:`[W^{UK}_i c_j; k^R_j]`; the heads share :math:`k^R_j`.

    Args:
        latent: :math:`c`, one for each token.
        rotary_key: :math:`k^R`, rotated by its position.
        w_key: :math:`W^{UK}`, projects the latent to the key of each head.

    Raises:
        ValueError: If the features do not fit.

    Example:
        >>> latent_keys(jnp.ones((5, 3)), jnp.ones((5, 2)), jnp.ones((3, 4, 6))).shape
        (5, 4, 8)
    """
    check_features("latent", latent.shape[-1], "w_key", w_key.shape[0])
    key = jnp.einsum("...kc,chd->...khd", latent, w_key)
    shared = jnp.broadcast_to(
        rotary_key[..., None, :], (*key.shape[:-1], rotary_key.shape[-1])
    ).astype(key.dtype)
    return jnp.concatenate([key, shared], axis=-1)


def latent_attention(
    query: Real[Array, "*b q h d"],
    rotary_query: Real[Array, "*b q h r"],
    latent: Real[Array, "*b k c"],
    rotary_key: Real[Array, "*b k r"],
    *,
    w_key: Real[Array, "c h d"],
    w_value: Real[Array, "c h e"],
    scale: float | Float[Array, ""] | None = None,
    mask: Bool[Array, "..."] | None = None,
    bias: Real[Array, "..."] | None = None,
    key_mask: Bool[Array, "..."] | None = None,
    normalizer: Normalizer = softmax,
) -> tuple[Float[Array, "*b q h e"], Float[Array, "*b h q k"]]:
    r"""Attend to keys and values that all heads read from one latent vector per token.

    .. math:: s_{hij} = \frac{q_{ih} \cdot W^{UK}_h c_j + q^R_{ih} \cdot k^R_j}{\sqrt{d + r}},
              \qquad o_{ih} = \sum_j \operatorname{softmax}_j(s_{hij})\, W^{UV}_h c_j

    A decoder's cache holds only :math:`c_j` and :math:`k^R_j` of each token, `c + r` numbers
    instead of `h (d + e)`; with :func:`absorbed_queries` it attends to the latents themselves.
    In the paper's symbols `query` is :math:`q^C`, `rotary_query` is :math:`q^R`, `latent` is
    :math:`c^{KV}` and `rotary_key` is :math:`k^R`.

    Args:
        query: `(*b, q, h, d)`, the features without positions.
        rotary_query: `(*b, q, h, r)`, rotated by its position.
        latent: `(*b, k, c)`.
        rotary_key: `(*b, k, r)`, rotated by its position and shared by all heads.
        w_key: :math:`W^{UK}`.
        w_value: :math:`W^{UV}`.
        scale: Factor of the inner products; :math:`1/\sqrt{d + r}` if None.
        mask: True = may attend; `(*b, h, q, k)` with ones allowed, `(q, k)` or `(k,)`.
        bias: Added to the scores, of the same shapes.
        key_mask: `(*b, k)`; True = the key exists.
        normalizer: Maps scores to weights.

    Returns:
        The context `(*b, q, h, e)` and the weights `(*b, h, q, k)`.

    Raises:
        ValueError: If shapes do not fit together.
        TypeError: If a mask is not boolean.

    Example:
        >>> query, rotary = jnp.ones((5, 3, 4)), jnp.ones((5, 3, 2))
        >>> latent = jnp.ones((5, 7))
        >>> context, weights = latent_attention(
        ...     query, rotary, latent, rotary[:, 0],
        ...     w_key=jnp.ones((7, 3, 4)), w_value=jnp.ones((7, 3, 6)),
        ... )
        >>> context.shape, weights.shape
        ((5, 3, 6), (3, 5, 5))

    References:
        DeepSeek-AI, "DeepSeek-V2: A Strong, Economical, and Efficient Mixture-of-Experts Language
        Model", 2024, sections 2.1.2 and 2.1.3. https://arxiv.org/abs/2405.04434
    """
    check_features("latent", latent.shape[-1], "w_value", w_value.shape[0])
    num_heads = query.shape[-2]
    inputs = prepare_heads(
        jnp.concatenate([query, rotary_query], axis=-1),
        jnp.concatenate([latent, rotary_key], axis=-1)[..., None, :],
        latent[..., None, :],
        mask=mask,
        bias=bias,
        key_mask=key_mask,
        num_heads=num_heads,
    )
    latent, rotary_key = jnp.split(inputs.key[..., 0, :], [latent.shape[-1]], axis=-1)
    key = latent_keys(latent, rotary_key, w_key)
    value = jnp.einsum("...kc,che->...khe", latent, w_value)
    scores = add_bias(multi_head_scores(inputs.query, key, scale=scale), inputs.bias)
    weights = normalizer(scores, mask=inputs.mask)
    return multi_head_weigh(weights, value), weights


def absorbed_queries(
    query: Real[Array, "*b q h d"],
    rotary_query: Real[Array, "*b q h r"],
    w_key: Real[Array, "c h d"],
) -> Float[Array, "*b q h c_and_r"]:
    r"""Return queries for the latents themselves: :math:`[(W^{UK}_h)^\top q_{ih}; q^R_{ih}]`.

    Their inner product with :math:`[c_j; k^R_j]` is the score of :func:`latent_attention`, so a
    decoding step reads its cache as one shared key head and never builds the keys of the heads.

    Args:
        query: `(*b, q, h, d)`.
        rotary_query: `(*b, q, h, r)`.
        w_key: :math:`W^{UK}`.

    Raises:
        ValueError: If the features do not fit.

    Example:
        >>> absorbed_queries(jnp.ones((1, 3, 4)), jnp.ones((1, 3, 2)), jnp.ones((7, 3, 4))).shape
        (1, 3, 9)
    """
    check_features("query", query.shape[-1], "w_key", w_key.shape[-1])
    absorbed = jnp.einsum("...qhd,chd->...qhc", query, w_key)
    return jnp.concatenate([absorbed, rotary_query.astype(absorbed.dtype)], axis=-1)

"""Location-based attention (Luong 2015), which scores positions by the query alone."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Real

from attn_jax.ops.normalizers.softmax import Normalizer, softmax
from attn_jax.ops.shapes import check_features
from attn_jax.ops.stages import attend, prepare


def location_scores(
    query: Real[Array, "*b q d_q"], num_keys: int, *, w: Real[Array, "d_q n"]
) -> Float[Array, "*b q k"]:
    r"""Score positions by the query alone: :math:`s_i = W^\top q_i`.

    Args:
        query: `(*b, q, d_q)`.
        num_keys: k, at most `n`.
        w: A column for each of `n` positions, the length of the longest input.

    Returns:
        Scores in float32 at least.

    Raises:
        ValueError: If the query's features do not fit, or there are more keys than positions.

    Example:
        >>> location_scores(jnp.ones((1, 1)), 2, w=jnp.array([[5.0, 6.0, 7.0]])).tolist()
        [[5.0, 6.0]]
    """
    check_features("query", query.shape[-1], "w", w.shape[0])
    if num_keys > w.shape[1]:
        raise ValueError(
            f"w of shape {w.shape} scores {w.shape[1]} positions but there are {num_keys} keys; "
            "its second axis must be as long as the longest input."
        )
    dtype = jnp.promote_types(jnp.result_type(query, w), jnp.float32)
    return jnp.einsum("...qd,dk->...qk", query, w[:, :num_keys], preferred_element_type=dtype)


def location_attention(
    query: Real[Array, "*b q d_q"],
    key: Real[Array, "*b k d_k"],
    value: Real[Array, "*b k d_v"],
    *,
    w: Real[Array, "d_q n"],
    mask: Bool[Array, "..."] | None = None,
    bias: Real[Array, "..."] | None = None,
    key_mask: Bool[Array, "..."] | None = None,
    normalizer: Normalizer = softmax,
) -> tuple[Float[Array, "*b q d_v"], Float[Array, "*b q k"]]:
    r"""Attend to positions that the query selects, regardless of the keys there.

    .. math:: w_i = \operatorname{softmax}(W^\top q_i), \qquad c_i = \sum_j w_{ij} v_j

    In Luong's symbols :math:`h_t` is the query, :math:`\bar h_s` are the values, and the transpose
    of :math:`W_a` is `w`. The keys matter only by their number.

    Args:
        query: `(*b, q, d_q)`.
        key: `(*b, k, d_k)`.
        value: `(*b, k, d_v)`.
        w: A column for each of `n` positions, at least k.
        mask: True = may attend; `(*b, q, k)` with ones allowed, `(q, k)` or `(k,)`.
        bias: Added to the scores, of the same shapes.
        key_mask: `(*b, k)`; True = the key exists.
        normalizer: Maps scores to weights.

    Returns:
        The context `(*b, q, d_v)` and the weights `(*b, q, k)`.

    Raises:
        ValueError: If shapes do not fit together.
        TypeError: If a mask is not boolean.

    Example:
        >>> key = jnp.ones((5, 4))
        >>> context, weights = location_attention(jnp.ones((2, 3)), key, key, w=jnp.ones((3, 11)))
        >>> context.shape, weights.shape
        ((2, 4), (2, 5))

    References:
        Luong, Pham and Manning, "Effective Approaches to Attention-based Neural Machine
        Translation", 2015, section 3.1, equation 8. https://arxiv.org/abs/1508.04025
    """
    query, key, value, mask, bias = prepare(
        query, key, value, mask=mask, bias=bias, key_mask=key_mask
    )
    scores = location_scores(query, key.shape[-2], w=w)
    return attend(scores, value, mask=mask, bias=bias, normalizer=normalizer)

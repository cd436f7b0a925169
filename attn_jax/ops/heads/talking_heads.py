"""Talking-heads attention (Shazeer 2020), which mixes scores and weights across heads."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Real

from attn_jax.ops.heads.multi_head import multi_head_scores, multi_head_weigh
from attn_jax.ops.normalizers.softmax import Normalizer, softmax
from attn_jax.ops.shapes import as_float, check_axes, check_features
from attn_jax.ops.stages import add_bias, prepare_heads


def talking_heads_scores(
    query: Real[Array, "*b q h_s d"],
    key: Real[Array, "*b k h_k d"],
    *,
    w_scores: Real[Array, "h_s h"],
    scale: float | Real[Array, ""] | None = None,
) -> Float[Array, "*b h q k"]:
    r"""Mix the heads' scores: :math:`s_{hij} = \sum_g P_{gh} \, q_{ig} \cdot k_{jg} / \sqrt{d}`.

    Args:
        query: `(*b, q, h_s, d)`.
        key: `(*b, k, h_k, d)`; with `h_k < h_s`, each key head serves a group of query heads.
        w_scores: :math:`P`, mixes the query's heads into those that are normalized.
        scale: Factor of the inner product; :math:`1/\sqrt{d}` if None.

    Returns:
        `(*b, h, q, k)`, in float32 at least.

    Raises:
        ValueError: If heads or features do not fit.

    Example:
        >>> both = jnp.ones((2, 1))
        >>> query = jnp.array([[[3.0], [4.0]]])
        >>> talking_heads_scores(query, query, w_scores=both).tolist()
        [[[25.0]]]
    """
    check_axes(w_scores=(w_scores, "h_s h"))
    check_features("w_scores", w_scores.shape[0], "query (its heads)", query.shape[-2])
    return mix_heads(multi_head_scores(query, key, scale=scale), w_scores)


def talking_heads_attention(
    query: Real[Array, "*b q h_s d"],
    key: Real[Array, "*b k h_k d"],
    value: Real[Array, "*b k h_v e"],
    *,
    w_scores: Real[Array, "h_s h"],
    w_weights: Real[Array, "h h_w"],
    scale: float | Real[Array, ""] | None = None,
    mask: Bool[Array, "..."] | None = None,
    bias: Real[Array, "..."] | None = None,
    key_mask: Bool[Array, "..."] | None = None,
    normalizer: Normalizer = softmax,
) -> tuple[Float[Array, "*b q h_w e"], Float[Array, "*b h_w q k"]]:
    r"""Attend with heads that are mixed before and after the softmax.

    .. math:: J_g = Q_g K_g^\top / \sqrt{d}, \qquad
              W_h = \operatorname{softmax}\Big(\sum_g P^{l}_{gh} J_g\Big), \qquad
              C_v = \Big(\sum_h P^{w}_{hv} W_h\Big) V_v

    The returned weights are the mixed ones that weigh the values; their rows sum to one only if
    the columns of :math:`P^w` do.

    Args:
        query: `(*b, q, h_s, d)`.
        key: `(*b, k, h_k, d)`; with `h_k < h_s`, each key head serves a group of query heads.
        value: `(*b, k, h_v, e)`; with `h_v < h_w`, each value head serves a group of mixed heads.
        w_scores: :math:`P^l`, mixes the query's heads into those that are normalized.
        w_weights: :math:`P^w`, mixes those into the heads of the context.
        scale: Factor of the inner product; :math:`1/\sqrt{d}` if None.
        mask: True = may attend; `(*b, h, q, k)` with ones allowed, `(q, k)` or `(k,)`.
        bias: Added to the mixed scores, of the same shapes.
        key_mask: `(*b, k)`; True = the key exists.
        normalizer: Maps scores to weights.

    Returns:
        The context `(*b, q, h_w, e)` and the mixed weights `(*b, h_w, q, k)`.

    Raises:
        ValueError: If shapes do not fit together.
        TypeError: If a mask is not boolean.

    Example:
        >>> x, eye = jnp.ones((5, 3, 4)), jnp.eye(3)
        >>> context, weights = talking_heads_attention(x, x, x, w_scores=eye, w_weights=eye)
        >>> context.shape, weights.shape
        ((5, 3, 4), (3, 5, 5))

    References:
        Shazeer et al., "Talking-Heads Attention", 2020, section 4. https://arxiv.org/abs/2003.02436
    """
    check_axes(w_scores=(w_scores, "h_s h"), w_weights=(w_weights, "h h_w"))
    check_features("w_weights", w_weights.shape[0], "w_scores", w_scores.shape[1])
    query, key, value, mask, bias = prepare_heads(
        query, key, value, mask=mask, bias=bias, key_mask=key_mask, num_heads=w_scores.shape[1]
    )
    scores = talking_heads_scores(query, key, w_scores=w_scores, scale=scale)
    weights = mix_heads(normalizer(add_bias(scores, bias), mask=mask), w_weights)
    return multi_head_weigh(weights, value), weights


def mix_heads(maps: jax.Array, mixing: jax.Array) -> jax.Array:
    """Return combinations of the heads' maps, one for each column of `mixing`."""
    (maps,) = as_float(maps)
    return jnp.einsum("...gqk,gh->...hqk", maps, mixing.astype(maps.dtype))

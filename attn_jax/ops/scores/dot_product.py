"""Dot-product attention (Luong 2015) and its scaled form (Vaswani 2017)."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Real

from attn_jax.ops.normalizers.softmax import Normalizer, softmax
from attn_jax.ops.shapes import check_features
from attn_jax.ops.stages import attend, prepare


def dot_product_scores(
    query: Real[Array, "*b q d"], key: Real[Array, "*b k d"]
) -> Float[Array, "*b q k"]:
    r"""Score by the inner product: :math:`s_{ij} = q_i \cdot k_j`.

    Args:
        query: `(*b, q, d)`.
        key: `(*b, k, d)`.

    Returns:
        Scores in float32 at least.

    Raises:
        ValueError: If the features of query and key differ.

    Example:
        >>> dot_product_scores(jnp.array([[1.0, 2.0, 3.0]]), jnp.array([[4.0, 5.0, 6.0]])).tolist()
        [[32.0]]
    """
    check_features("key", key.shape[-1], "query", query.shape[-1])
    dtype = jnp.promote_types(jnp.result_type(query, key), jnp.float32)
    return jnp.einsum("...qd,...kd->...qk", query, key, preferred_element_type=dtype)


def scaled_dot_product_scores(
    query: Real[Array, "*b q d"],
    key: Real[Array, "*b k d"],
    *,
    scale: float | Real[Array, ""] | None = None,
) -> Float[Array, "*b q k"]:
    r"""Score by the scaled inner product: :math:`s_{ij} = q_i \cdot k_j / \sqrt{d}`.

    Args:
        query: `(*b, q, d)`.
        key: `(*b, k, d)`.
        scale: Factor of the inner product; :math:`1/\sqrt{d}` if None.

    Returns:
        Scores in float32 at least.

    Raises:
        ValueError: If the features of query and key differ.

    Example:
        >>> query, key = jnp.ones((1, 4)), jnp.ones((1, 4))
        >>> scaled_dot_product_scores(query, key).tolist()
        [[2.0]]
    """
    scale = default_scale(query, scale)
    if query.dtype.itemsize >= 4:
        # Scaling the query is cheaper than scaling the scores, but costs digits in half precision.
        return dot_product_scores(query * scale, key)
    return dot_product_scores(query, key) * scale


def default_scale(query: jax.Array, scale: float | jax.Array | None) -> float | jax.Array:
    """Return the given scale, or one over the root of the number of features."""
    return 1 / math.sqrt(query.shape[-1]) if scale is None else scale


def dot_product_attention(
    query: Real[Array, "*b q d"],
    key: Real[Array, "*b k d"],
    value: Real[Array, "*b k d_v"],
    *,
    mask: Bool[Array, "..."] | None = None,
    bias: Real[Array, "..."] | None = None,
    key_mask: Bool[Array, "..."] | None = None,
    normalizer: Normalizer = softmax,
) -> tuple[Float[Array, "*b q d_v"], Float[Array, "*b q k"]]:
    r"""Attend by the inner product of query and key.

    .. math:: w = \operatorname{softmax}(Q K^\top), \qquad c = w V

    In Luong's symbols :math:`h_t` is the query and :math:`\bar h_s` are the keys and values.

    Args:
        query: `(*b, q, d)`.
        key: `(*b, k, d)`.
        value: `(*b, k, d_v)`.
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
        >>> key = jnp.array([[1.0, 0.0], [0.0, 1.0]])
        >>> context, weights = dot_product_attention(jnp.zeros((1, 2)), key, key)
        >>> weights.tolist()
        [[0.5, 0.5]]

    References:
        Luong, Pham and Manning, "Effective Approaches to Attention-based Neural Machine
        Translation", 2015, section 3.1. https://arxiv.org/abs/1508.04025
    """
    query, key, value, mask, bias = prepare(
        query, key, value, mask=mask, bias=bias, key_mask=key_mask
    )
    scores = dot_product_scores(query, key)
    return attend(scores, value, mask=mask, bias=bias, normalizer=normalizer)


def scaled_dot_product_attention(
    query: Real[Array, "*b q d"],
    key: Real[Array, "*b k d"],
    value: Real[Array, "*b k d_v"],
    *,
    scale: float | Real[Array, ""] | None = None,
    mask: Bool[Array, "..."] | None = None,
    bias: Real[Array, "..."] | None = None,
    key_mask: Bool[Array, "..."] | None = None,
    normalizer: Normalizer = softmax,
) -> tuple[Float[Array, "*b q d_v"], Float[Array, "*b q k"]]:
    r"""Attend by the inner product, divided by the root of the number of features.

    .. math:: w = \operatorname{softmax}\!\left(\frac{Q K^\top}{\sqrt{d}}\right), \qquad c = w V

    Args:
        query: `(*b, q, d)`.
        key: `(*b, k, d)`.
        value: `(*b, k, d_v)`.
        scale: Factor of the inner product; :math:`1/\sqrt{d}` if None.
        mask: True = may attend; `(*b, q, k)` with ones allowed, `(q, k)` or `(k,)`.
        bias: Added to the scaled scores, of the same shapes.
        key_mask: `(*b, k)`; True = the key exists.
        normalizer: Maps scores to weights.

    Returns:
        The context `(*b, q, d_v)` and the weights `(*b, q, k)`.

    Raises:
        ValueError: If shapes do not fit together.
        TypeError: If a mask is not boolean.

    Example:
        >>> query, key = jnp.array([[2.0, 0.0]]), jnp.array([[1.0, 0.0], [0.0, 1.0]])
        >>> _, weights = scaled_dot_product_attention(query, key, key)
        >>> [round(float(w), 4) for w in weights[0]]
        [0.8044, 0.1956]

    References:
        Vaswani et al., "Attention Is All You Need", 2017, section 3.2.1.
        https://arxiv.org/abs/1706.03762
    """
    query, key, value, mask, bias = prepare(
        query, key, value, mask=mask, bias=bias, key_mask=key_mask
    )
    scores = scaled_dot_product_scores(query, key, scale=scale)
    return attend(scores, value, mask=mask, bias=bias, normalizer=normalizer)

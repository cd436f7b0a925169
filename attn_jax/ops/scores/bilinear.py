"""Bilinear attention, Luong's "general" score (Luong 2015)."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Real

from attn_jax.ops.normalizers.softmax import Normalizer, softmax
from attn_jax.ops.scores.dot_product import dot_product_scores
from attn_jax.ops.shapes import check_features
from attn_jax.ops.stages import attend, prepare


def bilinear_scores(
    query: Real[Array, "*b q d_q"], key: Real[Array, "*b k d_k"], *, w: Real[Array, "d_q d_k"]
) -> Float[Array, "*b q k"]:
    r"""Score by a matrix between query and key: :math:`s_{ij} = q_i^\top W k_j`.

    Args:
        query: `(*b, q, d_q)`.
        key: `(*b, k, d_k)`.
        w: :math:`W`.

    Returns:
        Scores in float32 at least.

    Raises:
        ValueError: If the features do not fit the matrix.

    Example:
        >>> w = jnp.array([[0.0, 3.0]])
        >>> bilinear_scores(jnp.array([[2.0]]), jnp.array([[5.0, 7.0]]), w=w).tolist()
        [[42.0]]
    """
    check_features("query", query.shape[-1], "w", w.shape[0])
    check_features("key", key.shape[-1], "w", w.shape[1])
    return dot_product_scores(jnp.einsum("...qd,de->...qe", query, w), key)


def bilinear_attention(
    query: Real[Array, "*b q d_q"],
    key: Real[Array, "*b k d_k"],
    value: Real[Array, "*b k d_v"],
    *,
    w: Real[Array, "d_q d_k"],
    mask: Bool[Array, "..."] | None = None,
    bias: Real[Array, "..."] | None = None,
    key_mask: Bool[Array, "..."] | None = None,
    normalizer: Normalizer = softmax,
) -> tuple[Float[Array, "*b q d_v"], Float[Array, "*b q k"]]:
    r"""Attend by a matrix between query and key.

    .. math:: w_i = \operatorname{softmax}_j(q_i^\top W k_j), \qquad c_i = \sum_j w_{ij} v_j

    In Luong's symbols :math:`h_t` is the query, :math:`\bar h_s` are the keys and values, and
    :math:`W_a` is `w`.

    Args:
        query: `(*b, q, d_q)`.
        key: `(*b, k, d_k)`.
        value: `(*b, k, d_v)`.
        w: :math:`W`.
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
        >>> query, key = jnp.ones((2, 3)), jnp.ones((5, 4))
        >>> context, weights = bilinear_attention(query, key, key, w=jnp.ones((3, 4)))
        >>> context.shape, weights.shape
        ((2, 4), (2, 5))

    References:
        Luong, Pham and Manning, "Effective Approaches to Attention-based Neural Machine
        Translation", 2015, section 3.1, "general". https://arxiv.org/abs/1508.04025
    """
    query, key, value, mask, bias = prepare(
        query, key, value, mask=mask, bias=bias, key_mask=key_mask
    )
    scores = bilinear_scores(query, key, w=w)
    return attend(scores, value, mask=mask, bias=bias, normalizer=normalizer)

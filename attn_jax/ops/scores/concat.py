"""Luong's "concat" score (Luong 2015): one matrix on the joined query and key."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Real

from attn_jax.ops.normalizers.softmax import Normalizer, softmax
from attn_jax.ops.scores.additive import additive_scores
from attn_jax.ops.shapes import check_axes
from attn_jax.ops.stages import attend, prepare


def concat_scores(
    query: Real[Array, "*b q d_q"],
    key: Real[Array, "*b k d_k"],
    *,
    w: Real[Array, "d a"],
    v: Real[Array, " a"],
) -> Float[Array, "*b q k"]:
    r"""Score the joined vectors by one layer: :math:`s_{ij} = v^\top \tanh(W [q_i; k_j])`.

    It equals :func:`additive_scores` with its two matrices stacked.

    Args:
        query: `(*b, q, d_q)`.
        key: `(*b, k, d_k)`.
        w: :math:`W`, with `d = d_q + d_k` rows, those of the query first.
        v: Weighs the hidden units.

    Returns:
        Scores in float32 at least.

    Raises:
        ValueError: If the features do not fit the parameters.

    Example:
        >>> one = jnp.ones((1, 1))
        >>> scores = concat_scores(one, one, w=jnp.ones((2, 1)), v=jnp.ones(1))
        >>> round(float(scores[0, 0]), 4)  # tanh(2)
        0.964
    """
    check_axes(w=(w, "d a"), v=(v, "a"))
    d_q, d_k = query.shape[-1], key.shape[-1]
    if w.shape[0] != d_q + d_k:
        raise ValueError(
            f"w takes {w.shape[0]} features, but query and key have {d_q} + {d_k} = {d_q + d_k}."
        )
    w_query, w_key = jnp.split(w, [d_q])
    return additive_scores(query, key, w_query=w_query, w_key=w_key, v=v)


def concat_attention(
    query: Real[Array, "*b q d_q"],
    key: Real[Array, "*b k d_k"],
    value: Real[Array, "*b k d_v"],
    *,
    w: Real[Array, "d a"],
    v: Real[Array, " a"],
    mask: Bool[Array, "..."] | None = None,
    bias: Real[Array, "..."] | None = None,
    key_mask: Bool[Array, "..."] | None = None,
    normalizer: Normalizer = softmax,
) -> tuple[Float[Array, "*b q d_v"], Float[Array, "*b q k"]]:
    r"""Attend by one layer on the joined query and key.

    .. math:: w_i = \operatorname{softmax}_j\big(v^\top \tanh(W [q_i; k_j])\big),
              \qquad c_i = \sum_j w_{ij} v_j

    In Luong's symbols :math:`h_t` is the query, :math:`\bar h_s` are the keys and values,
    :math:`W_a` is `w` and :math:`v_a` is `v`.

    Args:
        query: `(*b, q, d_q)`.
        key: `(*b, k, d_k)`.
        value: `(*b, k, d_v)`.
        w: :math:`W`, with `d = d_q + d_k` rows, those of the query first.
        v: Weighs the hidden units.
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
        >>> context, weights = concat_attention(query, key, key, w=jnp.ones((7, 6)), v=jnp.ones(6))
        >>> context.shape, weights.shape
        ((2, 4), (2, 5))

    References:
        Luong, Pham and Manning, "Effective Approaches to Attention-based Neural Machine
        Translation", 2015, section 3.1, "concat". https://arxiv.org/abs/1508.04025
    """
    query, key, value, mask, bias = prepare(
        query, key, value, mask=mask, bias=bias, key_mask=key_mask
    )
    scores = concat_scores(query, key, w=w, v=v)
    return attend(scores, value, mask=mask, bias=bias, normalizer=normalizer)

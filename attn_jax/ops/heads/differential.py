"""Differential attention (Ye 2024): the difference of two maps, which cancels their noise."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Real

from attn_jax.ops.heads.multi_head import multi_head_scores, multi_head_weigh
from attn_jax.ops.normalizers.softmax import Normalizer, softmax
from attn_jax.ops.shapes import check_broadcast, check_head_inputs
from attn_jax.ops.stages import add_bias, prepare_heads


def differential_lambda(
    query_1: Real[Array, " d"],
    key_1: Real[Array, " d"],
    query_2: Real[Array, " d"],
    key_2: Real[Array, " d"],
    *,
    initial: float,
) -> Float[Array, ""]:
    r"""Return the factor of the second map, from learned vectors.

    .. math:: \lambda = \exp(\lambda_{q_1} \cdot \lambda_{k_1})
              - \exp(\lambda_{q_2} \cdot \lambda_{k_2}) + \lambda_\text{init}

    Args:
        query_1: :math:`\lambda_{q_1}`.
        key_1: :math:`\lambda_{k_1}`.
        query_2: :math:`\lambda_{q_2}`.
        key_2: :math:`\lambda_{k_2}`.
        initial: :math:`\lambda_\text{init}`; the paper takes
            :math:`0.8 - 0.6 \exp(-0.3 (l - 1))` in layer :math:`l = 1, 2, \ldots`

    Example:
        >>> zeros = jnp.zeros(3)
        >>> round(float(differential_lambda(zeros, zeros, zeros, zeros, initial=0.8)), 6)
        0.8
    """
    return jnp.exp(query_1 @ key_1) - jnp.exp(query_2 @ key_2) + initial


def differential_weights(
    scores: Real[Array, "*b h2 q k"],
    *,
    lambda_: float | Real[Array, "..."],
    mask: Bool[Array, "..."] | None = None,
    normalizer: Normalizer = softmax,
) -> Float[Array, "*b h q k"]:
    r"""Normalize each pair of maps, and subtract the second from the first.

    Args:
        scores: `(*b, 2h, q, k)`; maps 2i and 2i + 1 are a pair.
        lambda_: :math:`\lambda`, one for all heads or `(h,)`.
        mask: True = may attend; `(*b, h, q, k)` with ones allowed, `(q, k)` or `(k,)`.
        normalizer: Maps scores to weights.

    Returns:
        `(*b, h, q, k)`. Rows sum to :math:`1 - \lambda`, and weights may be negative.

    Raises:
        ValueError: If the number of maps is odd, or :math:`\lambda` does not fit the heads.
        TypeError: If the mask is not boolean.

    Example:
        >>> scores = jnp.log(jnp.array([[[3.0, 1.0]], [[1.0, 1.0]]]))
        >>> differential_weights(scores, lambda_=0.5).round(5).tolist()
        [[[0.5, 0.0]]]
    """
    if scores.shape[-3] % 2:
        raise ValueError(
            f"scores of shape {scores.shape} have {scores.shape[-3]} maps; their number must be "
            "even, for heads 2i and 2i + 1 of query and key are a pair."
        )
    first = normalizer(scores[..., 0::2, :, :], mask=mask)
    second = normalizer(scores[..., 1::2, :, :], mask=mask)
    lambda_ = jnp.asarray(lambda_, first.dtype)
    check_broadcast("lambda_", lambda_, first.shape[-3:-2], "(heads,)")
    return first - lambda_.reshape((1,) * (first.ndim - 3) + (-1, 1, 1)) * second


def differential_attention(
    query: Real[Array, "*b q h2 d"],
    key: Real[Array, "*b k h2_k d"],
    value: Real[Array, "*b k h_k e"],
    *,
    lambda_: float | Real[Array, "..."],
    scale: float | Real[Array, ""] | None = None,
    mask: Bool[Array, "..."] | None = None,
    bias: Real[Array, "..."] | None = None,
    key_mask: Bool[Array, "..."] | None = None,
    normalizer: Normalizer = softmax,
) -> tuple[Float[Array, "*b q h e"], Float[Array, "*b h q k"]]:
    r"""Attend by the difference of two maps.

    .. math:: W = \operatorname{softmax}(Q_1 K_1^\top / \sqrt{d})
              - \lambda \operatorname{softmax}(Q_2 K_2^\top / \sqrt{d}), \qquad C = W V

    The paper then normalizes each head's context and multiplies it by
    :math:`1 - \lambda_\text{init}`, as :class:`attn_jax.nn.DifferentialAttention` does.

    Args:
        query: `(*b, q, 2h, d)`; heads 2i and 2i + 1 are :math:`Q_1` and :math:`Q_2` of head i.
        key: `(*b, k, 2h_k, d)`, paired likewise; with `h_k < h`, each pair serves a group of heads.
        value: `(*b, k, h_k, e)`.
        lambda_: :math:`\lambda`, one for all heads or `(h,)`; see :func:`differential_lambda`.
        scale: Factor of the inner product; :math:`1/\sqrt{d}` if None.
        mask: True = may attend; `(*b, h, q, k)` with ones allowed, `(q, k)` or `(k,)`.
        bias: Added to the scores of both maps, of the same shapes.
        key_mask: `(*b, k)`; True = the key exists.
        normalizer: Maps scores to weights.

    Returns:
        The context `(*b, q, h, e)` and the weights `(*b, h, q, k)`, some of them negative.

    Raises:
        ValueError: If shapes do not fit together.
        TypeError: If a mask is not boolean.

    Example:
        >>> pair, value = jnp.ones((5, 2, 4)), jnp.ones((5, 1, 3))
        >>> context, weights = differential_attention(pair, pair, value, lambda_=0.25)
        >>> context[0].tolist()
        [[0.75, 0.75, 0.75]]

    References:
        Ye et al., "Differential Transformer", 2024, section 2.1. https://arxiv.org/abs/2410.05258
    """
    check_head_inputs(query, key, value)
    for name, array in (("query", query), ("key", key)):
        if array.shape[-2] % 2:
            raise ValueError(
                f"{name} has {array.shape[-2]} heads; the number must be even, for heads 2i and "
                "2i + 1 are a pair."
            )
    num_heads = query.shape[-2] // 2
    query, key, value, mask, bias = prepare_heads(
        query, key, value, mask=mask, bias=bias, key_mask=key_mask, num_heads=num_heads
    )
    scores = add_bias(differential_scores(query, key, scale=scale), repeat_pairs(bias))
    weights = differential_weights(scores, lambda_=lambda_, mask=mask, normalizer=normalizer)
    return multi_head_weigh(weights, value), weights


def differential_scores(
    query: Real[Array, "*b q h2 d"],
    key: Real[Array, "*b k h2_k d"],
    *,
    scale: float | Real[Array, ""] | None = None,
) -> Float[Array, "*b h2 q k"]:
    r"""Score by the scaled dot product, for both maps of each head.

    Args:
        query: `(*b, q, 2h, d)`; heads 2i and 2i + 1 are a pair.
        key: `(*b, k, 2h_k, d)`, paired likewise; with `h_k < h`, each pair serves a group of heads.
        scale: Factor of the inner product; :math:`1/\sqrt{d}` if None.

    Returns:
        `(*b, 2h, q, k)`, in float32 at least.

    Raises:
        ValueError: If heads or features do not fit.

    Example:
        >>> differential_scores(jnp.ones((3, 8, 4)), jnp.ones((5, 4, 4))).shape
        (8, 3, 5)
    """
    maps = [
        multi_head_scores(query[..., i::2, :], key[..., i::2, :], scale=scale) for i in range(2)
    ]
    shape = (*maps[0].shape[:-3], query.shape[-2], *maps[0].shape[-2:])
    return jnp.stack(maps, axis=-3).reshape(shape)


def repeat_pairs(bias: jax.Array | None) -> jax.Array | None:
    """Repeat the bias of each head for both maps of its pair."""
    if bias is None or bias.ndim < 3 or bias.shape[-3] == 1:
        return bias
    return jnp.repeat(bias, 2, axis=-3)

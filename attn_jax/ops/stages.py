"""The stages that every attention shares: bias and mask, normalise, weigh."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attn_jax.ops.masks import visible_keys
from attn_jax.ops.normalizers.softmax import Normalizer, softmax
from attn_jax.ops.shapes import broadcast_to_scores, check_broadcast


def add_bias(scores: Float[Array, "*s"], bias: Float[Array, "..."] | None) -> Float[Array, "*s"]:
    """Add a bias, broadcast from any lower rank; minus infinity hides.

    Raises:
        ValueError: If the bias does not broadcast to the scores.
    """
    if bias is None:
        return scores
    return scores + broadcast_to_scores("bias", bias, scores.shape).astype(scores.dtype)


def weigh(weights: Float[Array, "*b q k"], value: Float[Array, "*b k d"]) -> Float[Array, "*b q d"]:
    r"""Sum the values, each times its weight: :math:`c_i = \sum_j w_{ij} v_j`.

    Sums are carried in float32 at least; the context has the values' type.

    Example:
        >>> weigh(jnp.array([[0.25, 0.75]]), jnp.array([[4.0], [8.0]])).tolist()
        [[7.0]]
    """
    if weights.shape[-1] != value.shape[-2]:
        raise ValueError(
            f"weights of shape {weights.shape} are over {weights.shape[-1]} keys and value of "
            f"shape {value.shape} has {value.shape[-2]}."
        )
    context = jnp.einsum(
        "...qk,...kd->...qd",
        weights.astype(value.dtype),
        value,
        preferred_element_type=jnp.promote_types(value.dtype, jnp.float32),
    )
    return context.astype(value.dtype)


def hide_unseen(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    *,
    mask: jax.Array | None,
    bias: jax.Array | None,
) -> tuple[jax.Array, jax.Array]:
    """Put zeros where no query may look, so that what stands there cannot matter.

    Zero times NaN is NaN: without this, one NaN in the padding would reach every context, and
    through the scores every gradient.

    Args:
        query: `(*b, q, d_q)`.
        key: `(*b, k, d_k)`.
        value: `(*b, k, d_v)`.
        mask: Boolean, broadcastable to `(*b, q, k)`.
        bias: Broadcastable to `(*b, q, k)`; minus infinity hides.

    Returns:
        Keys and values.

    Raises:
        ValueError: If mask or bias do not broadcast to the scores.
        TypeError: If the mask is not boolean.
    """
    shape = (*query.shape[:-1], key.shape[-2])
    for name, array in (("mask", mask), ("bias", bias)):
        if array is not None:
            check_broadcast(name, array, shape)
    seen = visible_keys(mask, bias)
    if seen is None:
        return key, value
    seen = jnp.broadcast_to(seen, key.shape[:-1])[..., None]
    return jnp.where(seen, key, 0), jnp.where(seen, value, 0)


def attend(
    scores: Float[Array, "*b q k"],
    value: Float[Array, "*b k d"],
    *,
    mask: Bool[Array, "..."] | None = None,
    bias: Float[Array, "..."] | None = None,
    normalizer: Normalizer = softmax,
) -> tuple[Float[Array, "*b q d"], Float[Array, "*b q k"]]:
    """Add the bias, normalise under the mask, and weigh the values.

    Args:
        scores: `(*b, q, k)`.
        value: `(*b, k, d)`.
        mask: Broadcastable to the scores; True = may attend.
        bias: Broadcastable to the scores, added to them.
        normalizer: From scores to weights.

    Returns:
        `(context, weights)`.

    Example:
        >>> context, weights = attend(jnp.zeros((1, 2)), jnp.array([[1.0], [3.0]]))
        >>> context.tolist(), weights.tolist()
        ([[2.0]], [[0.5, 0.5]])
    """
    weights = normalizer(add_bias(scores, bias), mask=mask)
    return weigh(weights, value), weights

r"""Softmax, and the protocol of normalizers, which turn scores into weights over the last axis.

A normalizer is a function `normalizer(scores, *, mask=None) -> weights`, and all share three rules.
A key that the mask hides, or whose score is minus infinity, gets weight zero. A query that may
attend to nothing gets zero weights and zero gradients, never uniform weights and never NaN. The
computation is in float32 at least, whatever the type of the scores.
"""

from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Real

from attn_jax.ops.shapes import align_to_scores, as_float, check_mask


@runtime_checkable
class Normalizer(Protocol):
    """A function that turns scores into weights, over the last axis."""

    def __call__(
        self, scores: Real[Array, "... k"], *, mask: Bool[Array, "..."] | None = None
    ) -> Float[Array, "... k"]:
        """Normalize the scores of the keys that the mask allows."""
        ...


def masked_scores(scores: jax.Array, mask: jax.Array | None) -> jax.Array:
    """Return the scores in float32 at least, with minus infinity where the mask hides a key.

    Raises:
        TypeError: If the mask is not boolean.
        ValueError: If the mask does not broadcast to the scores.
    """
    (scores,) = as_float(scores)
    scores = scores.astype(jnp.promote_types(scores.dtype, jnp.float32))
    if mask is None:
        return scores
    check_mask(mask)
    mask = align_to_scores("mask", mask, scores.shape, "(*batch, keys)")
    return jnp.where(mask, scores, -jnp.inf)


@jax.custom_jvp
def _softmax(scores: jax.Array) -> jax.Array:
    # An empty row has -inf for its maximum; subtracting zero instead leaves exp(-inf) = 0.
    largest = jnp.max(scores, axis=-1, keepdims=True, initial=-jnp.inf)
    unnormalized = jnp.exp(scores - jnp.where(largest == -jnp.inf, 0, largest))
    # The largest score contributes exp(0) = 1, so a sum below one is that of an empty row.
    return unnormalized / jnp.maximum(unnormalized.sum(-1, keepdims=True), 1)


@_softmax.defjvp
def _softmax_jvp(primals, tangents):
    # Computed from the weights alone, so a hidden score has a zero tangent and nothing is NaN.
    weights = _softmax(*primals)
    (tangent,) = tangents
    return weights, weights * (tangent - (weights * tangent).sum(-1, keepdims=True))


def softmax(
    scores: Real[Array, "*b k"], *, mask: Bool[Array, "..."] | None = None
) -> Float[Array, "*b k"]:
    r"""Exponentiate and divide by the sum.

    .. math:: w_j = \frac{\exp s_j}{\sum_i \exp s_i}

    Args:
        scores: `(*b, k)`, of any real type.
        mask: True = may attend; `(*b, k)` with ones allowed, `(q, k)` or `(k,)`.

    Returns:
        Weights that sum to one, or are all zero where nothing is allowed; float32 at least.

    Raises:
        TypeError: If the mask is not boolean.
        ValueError: If the mask does not broadcast to the scores.

    Example:
        >>> scores = jnp.log(jnp.array([1.0, 3.0, 4.0]))
        >>> [round(float(w), 3) for w in softmax(scores)]
        [0.125, 0.375, 0.5]
        >>> softmax(scores, mask=jnp.array([False, False, False])).tolist()
        [0.0, 0.0, 0.0]
    """
    return _softmax(masked_scores(scores, mask))

"""How well numbers tell two kinds apart, whatever the threshold."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float


def roc_auc(
    scores: Float[jax.Array, " n"] | np.ndarray,
    positive: Bool[jax.Array, " n"] | np.ndarray,
    mask: Bool[jax.Array, " n"] | np.ndarray | None = None,
) -> Float[jax.Array, ""]:
    """The area under the ROC curve: how often a positive scores above a negative.

    Args:
        scores: Higher for what is more likely positive; equals count half.
        positive: Which are.
        mask: Which there are; all by default.

    Returns:
        1 for a perfect order, 0.5 for chance; NaN where one kind is missing.

    Example:
        >>> roc_auc(jnp.array([0.1, 0.4, 0.35, 0.8]), jnp.array([False, False, True, True]))
        Array(0.75, dtype=float32)

    References:
        Hanley and McNeil, "The meaning and use of the area under a receiver operating
        characteristic (ROC) curve", Radiology 143, 1982.
    """
    scores, positive = jnp.asarray(scores), jnp.asarray(positive)
    there = jnp.ones(scores.shape, bool) if mask is None else jnp.asarray(mask)
    negative = there & ~positive
    positive = there & positive
    # Of each score: how many negatives lie below it, equals counted half.
    below = jnp.sort(jnp.where(negative, scores, jnp.inf))
    least, most = (jnp.searchsorted(below, scores, side=side) for side in ("left", "right"))
    count = negative.sum()
    share = (least + jnp.minimum(most, count)) / (2 * count)
    return jnp.where(positive, share, 0).sum() / positive.sum()

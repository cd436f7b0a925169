"""The area under the ROC curve."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float


def roc_auc(
    scores: Float[jax.Array, " n"] | np.ndarray,
    positive: Bool[jax.Array, " n"] | np.ndarray,
    mask: Bool[jax.Array, " n"] | np.ndarray | None = None,
) -> Float[jax.Array, ""]:
    """Return the area under the ROC curve: how often a positive scores above a negative.

    Args:
        scores: A score for each item, higher for those more likely positive; ties count half.
        positive: True for the positive items.
        mask: True for the items that exist; all by default.

    Returns:
        1 for a perfect order, 0.5 for chance, NaN without a positive or without a negative.

    Example:
        >>> roc_auc(jnp.array([0.1, 0.4, 0.35, 0.8]), jnp.array([False, False, True, True]))
        Array(0.75, dtype=float32)

    References:
        Hanley and McNeil, "The meaning and use of the area under a receiver operating
        characteristic (ROC) curve", Radiology 143, 1982.
    """
    scores, positive = jnp.asarray(scores), jnp.asarray(positive)
    exists = jnp.ones(scores.shape, bool) if mask is None else jnp.asarray(mask)
    negative = exists & ~positive
    positive = exists & positive
    # The share of negatives below each score; the mean of both sides counts ties half.
    negatives = jnp.sort(jnp.where(negative, scores, jnp.inf))
    left, right = (jnp.searchsorted(negatives, scores, side=side) for side in ("left", "right"))
    count = negative.sum()
    share = (left + jnp.minimum(right, count)) / (2 * count)
    return jnp.where(positive, share, 0).sum() / positive.sum()

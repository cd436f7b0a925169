"""Refuses weights that are no attention, where their values are known."""

import numpy as np
from jax.core import Tracer
from numpy.typing import ArrayLike


def check_distributions(weights: ArrayLike, name: str = "weights") -> None:
    """Refuses weights whose rows are neither distributions nor, as padding's, zero.

    Under `jit` and `vmap` nothing is known of the values, and nothing is refused.

    Args:
        weights: (..., q, k).
        name: What the message calls them.

    Raises:
        ValueError: If a row holds a negative weight, or its sum is another.
    """
    if isinstance(weights, Tracer):
        return
    # By NumPy: under `jit` an array that is closed over is known, but what jnp makes of it is not.
    given = np.asarray(weights)
    exact = given.astype(np.float32)
    lowest, sums = exact.min(-1), exact.sum(-1)
    # The sum of a row of bfloat16 weights is only as near to one as they are exact.
    tolerance = 1e-2 if given.dtype.itemsize < 4 else 1e-3
    # A comparison that holds, negated, catches NaN as well.
    wrong = ~((lowest >= 0) & ((np.abs(sums - 1) <= tolerance) | (sums == 0)))
    if wrong.any():
        row = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"row {row} of {name} has the sum {sums[row]:.4g} and the lowest weight "
            f"{lowest[row]:.4g}, and {wrong.sum()} of {wrong.size} rows are no distributions; "
            "choose the hook points that hold weights, or divide each row by its sum."
        )

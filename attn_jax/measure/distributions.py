"""Checks that weights are distributions, where their values are known."""

import numpy as np
from jax.core import Tracer
from numpy.typing import ArrayLike


def check_distributions(weights: ArrayLike, name: str = "weights") -> None:
    """Refuse weights whose rows are neither distributions nor all zero, as for padding.

    Under `jit` and `vmap` the values are unknown, and nothing is refused.

    Args:
        weights: The weights, (..., q, k).
        name: Their name in the error message.

    Raises:
        ValueError: If a row has a negative weight, or a sum that is neither one nor zero.
    """
    if isinstance(weights, Tracer):
        return
    # NumPy, because under `jit` a closed-over array has values, but jnp results of it are traced.
    array = np.asarray(weights)
    exact = array.astype(np.float32)
    lowest, sums = exact.min(-1), exact.sum(-1)
    # Rounding to bfloat16 moves the sum of a row away from one.
    tolerance = 1e-2 if array.dtype.itemsize < 4 else 1e-3
    # Negating the condition that must hold catches NaN as well.
    wrong = ~((lowest >= 0) & ((np.abs(sums - 1) <= tolerance) | (sums == 0)))
    if wrong.any():
        row = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"row {row} of {name} has the sum {sums[row]:.4g} and the lowest weight "
            f"{lowest[row]:.4g}, and {wrong.sum()} of {wrong.size} rows are not distributions; "
            "select the hook points that hold weights, or divide each row by its sum."
        )

"""Checks of weights, labels and grids, before anything is drawn."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attn_jax.plot.arrays import as_array

# Sums of a few hundred bfloat16 weights are off by about this much.
_SUM_TOLERANCE = 2e-2


def weights_array(
    weights: ArrayLike,
    axes: Sequence[str],
    *,
    whole: bool = True,
    name: str = "weights",
    at: tuple[int, ...] = (),
) -> NDArray[np.float64]:
    """Return attention weights as float64, after checking them.

    Args:
        weights: Array to check.
        axes: Names of its axes; there must be as many as the rank.
        whole: Whether every row must be a distribution: sum to one, or be all zero for a query
            that may attend to nothing.
        name: Name of the argument, for the error.
        at: Place of the array within a larger one, for the error.

    Returns:
        The weights.

    Raises:
        ValueError: If the rank is wrong, a size is zero, or a weight is NaN, infinite or negative,
            or a row does not sum to one.
    """
    array = np.asarray(as_array(weights, name), np.float64)
    expected = f"({', '.join(axes)})"
    if array.ndim != len(axes):
        raise ValueError(f"{name} has shape {array.shape}; {expected} is needed, rank {len(axes)}.")
    if array.size == 0:
        raise ValueError(f"{name} of shape {array.shape} is empty; there is nothing to draw.")
    way_out = "check the scores before the softmax"
    _refuse(~np.isfinite(array), array, (name, at), "is not finite", way_out)
    _refuse(array < 0, array, (name, at), "is negative", "pass the weights, not the scores")
    if whole:
        _refuse_partial(array, name, at)
    return array


def _refuse(
    bad: NDArray[np.bool_],
    array: NDArray,
    what: tuple[str, tuple[int, ...]],
    problem: str,
    way_out: str,
) -> None:
    if bad.any():
        name, at = what
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        place = ", ".join(map(str, (*at, *index)))
        more = f", and {bad.sum() - 1} more" if bad.sum() > 1 else ""
        raise ValueError(f"{name}[{place}] = {array[index]:g} {problem}{more}; {way_out}.")


def _refuse_partial(array: NDArray, name: str, at: tuple[int, ...]) -> None:
    sums = array.sum(-1)
    bad = (np.abs(sums - 1) > _SUM_TOLERANCE) & (sums != 0)
    if bad.any():
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        place = "[" + ", ".join([*map(str, (*at, *index)), ":"]) + "]" if (*at, *index) else ""
        raise ValueError(
            f"{name}{place} sums to {sums[index]:.4g}, not 1; normalize over the last axis, "
            "or pass normalized=False to draw any non-negative values."
        )


def check_labels(shape: tuple[int, ...], **labels: Sequence[object] | None) -> None:
    """Refuse labels that do not fit the rows or columns.

    Args:
        shape: `(queries, keys)`.
        **labels: Labels of the queries, then of the keys, by argument name.

    Raises:
        ValueError: If there are too few or too many of either.
    """
    for (name, side), size, axis in zip(labels.items(), shape, ("queries", "keys"), strict=True):
        if side is not None and len(side) != size:
            raise ValueError(
                f"{name} has {len(side)} labels, but weights of shape {shape} have {size} {axis}."
            )


def boolean_cells(cells: ArrayLike, shape: tuple[int, ...], name: str) -> NDArray[np.bool_]:
    """Return one boolean per weight.

    Raises:
        ValueError: If the shape is not that of the weights.
    """
    array = as_array(cells, name).astype(bool)
    if array.shape != shape:
        raise ValueError(
            f"{name} has shape {array.shape}, but the weights have {shape}; they must agree."
        )
    return array


def check_grid(tokens: int, grid: tuple[int, int], image_shape: tuple[int, ...]) -> None:
    """Refuse a grid that does not have `tokens` cells or does not divide the image.

    Args:
        tokens: Number of weights.
        grid: Rows and columns of patches.
        image_shape: `(height, width)` or `(height, width, channels)`.

    Raises:
        ValueError: If either check fails.
    """
    rows, columns = grid
    if rows < 1 or columns < 1 or rows * columns != tokens:
        raise ValueError(
            f"grid={grid} has {rows * columns} cells, but there are {tokens} weights; "
            "give the rows and columns of the patches, without class and register tokens."
        )
    height, width = image_shape[:2]
    if height % rows or width % columns:
        raise ValueError(
            f"grid={grid} does not divide an image of {height} x {width} pixels; "
            "crop or pad the image as the model does."
        )

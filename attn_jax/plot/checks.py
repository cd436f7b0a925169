"""What is refused before anything is drawn: weights that are none, grids that do not fit."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attn_jax.plot.arrays import as_array

# bfloat16 rows of a few hundred weights miss one by about this much.
_SUM_TOLERANCE = 2e-2


def weights_array(
    weights: ArrayLike, axes: Sequence[str], *, whole: bool = True, name: str = "weights"
) -> NDArray[np.float64]:
    """Returns attention weights as float64, or says what is wrong with them.

    Args:
        weights: The array to check.
        axes: The names of its axes; their number is the rank asked for.
        whole: Whether every row must be a distribution: sum to one, or be all zero as for a
            query that may attend to nothing.
        name: The argument's name, for the error.

    Returns:
        The weights.

    Raises:
        ValueError: If the rank is wrong, a size is zero, or a weight is NaN, infinite or negative,
            or a row does not sum to one.
    """
    array = np.asarray(as_array(weights, name), np.float64)
    wanted = f"({', '.join(axes)})"
    if array.ndim != len(axes):
        raise ValueError(f"{name} has shape {array.shape}; {wanted} is needed, rank {len(axes)}.")
    if array.size == 0:
        raise ValueError(f"{name} of shape {array.shape} holds nothing to draw.")
    _refuse(~np.isfinite(array), array, name, "is not finite", "look at the scores before softmax")
    _refuse(array < 0, array, name, "is negative", "pass the weights, not the scores")
    if whole:
        _refuse_partial(array, name)
    return array


def _refuse(bad: NDArray[np.bool_], array: NDArray, name: str, what: str, way_out: str) -> None:
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        place = ", ".join(map(str, at))
        more = f", and {bad.sum() - 1} more" if bad.sum() > 1 else ""
        raise ValueError(f"{name}[{place}] = {array[at]:g} {what}{more}; {way_out}.")


def _refuse_partial(array: NDArray, name: str) -> None:
    sums = array.sum(-1)
    bad = (np.abs(sums - 1) > _SUM_TOLERANCE) & (sums != 0)
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        place = "[" + ", ".join([*map(str, at), ":"]) + "]" if at else ""
        raise ValueError(
            f"{name}{place} sums to {sums[at]:.4g}, not 1; normalise over the last axis, "
            "or pass normalized=False to draw any non-negative values."
        )


def check_labels(shape: tuple[int, ...], **labels: Sequence[object] | None) -> None:
    """Refuses labels of another number than there are rows and columns.

    Args:
        shape: ``(queries, keys)``.
        **labels: Those of the queries, then those of the keys, by the names of the arguments.

    Raises:
        ValueError: If there is another number of either.
    """
    for (name, given), size, axis in zip(labels.items(), shape, ("queries", "keys"), strict=True):
        if given is not None and len(given) != size:
            raise ValueError(
                f"{name} has {len(given)} labels, but weights of shape {shape} have {size} {axis}."
            )


def boolean_cells(cells: ArrayLike, shape: tuple[int, ...], name: str) -> NDArray[np.bool_]:
    """Returns one boolean per weight.

    Raises:
        ValueError: If they have another shape than the weights.
    """
    array = as_array(cells, name).astype(bool)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, the weights {shape}; they must agree.")
    return array


def check_grid(tokens: int, grid: tuple[int, int], image_shape: tuple[int, ...]) -> None:
    """Refuses a grid that has other than ``tokens`` cells or that does not divide the image.

    Args:
        tokens: The number of weights.
        grid: Rows and columns of patches.
        image_shape: ``(height, width)`` or ``(height, width, channels)``.

    Raises:
        ValueError: If either fails.
    """
    rows, columns = grid
    if rows < 1 or columns < 1 or rows * columns != tokens:
        raise ValueError(
            f"grid={grid} has {rows * columns} cells, but there are {tokens} weights; "
            "give the rows and columns of the patches, without class or register tokens."
        )
    height, width = image_shape[:2]
    if height % rows or width % columns:
        raise ValueError(
            f"grid={grid} does not divide an image of {height} x {width} pixels; "
            "crop or pad the image as the model did."
        )

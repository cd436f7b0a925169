"""Arrays whose axes have names, such as xarray's, read without importing their library."""

from collections.abc import Sequence
from typing import Any

# Names of the dimensions of attention, by the letter of the axis.
_DIMENSIONS = {
    "l": ("l", "layer"),
    "b": ("b", "batch", "example", "sample"),
    "h": ("h", "head"),
    "q": ("q", "query", "querie", "target", "row"),
    "k": ("k", "key", "source", "column"),
}


def is_data_array(value: Any) -> bool:
    """Return whether a value has named dimensions with coordinates."""
    return all(hasattr(value, name) for name in ("dims", "coords", "values"))


def read_data_array(
    array: Any,
) -> tuple[str | None, tuple[Sequence[object] | None, Sequence[object] | None]]:
    """Return the axes of an array with named dimensions, and the labels of its queries and keys.

    Args:
        array: An object like `xarray.DataArray`, with `dims` and `coords`.

    Returns:
        The letters of its axes, None if a dimension has another name; and the coordinates of the
        queries and of the keys, None where there are none.
    """
    letters = {dimension: _letter(str(dimension)) for dimension in array.dims}
    if None in letters.values():
        return None, (None, None)
    queries, keys = (
        next((_labels(array, name) for name, each in letters.items() if each == side), None)
        for side in "qk"
    )
    return "".join(map(str, letters.values())), (queries, keys)


def _letter(dimension: str) -> str | None:
    name = dimension.lower().rstrip("s")
    return next((letter for letter, names in _DIMENSIONS.items() if name in names), None)


def _labels(array: Any, dimension: Any) -> Sequence[object] | None:
    return list(array.coords[dimension].values) if dimension in array.coords else None

"""The axes of an array of weights: named by the caller, or inferred from its shape."""

from collections.abc import Mapping
from typing import NamedTuple

Axes = str | Mapping[str, str] | None

# In the order of `(layers, batch, heads, queries, keys)`.
WORDS = {"l": "layers", "b": "batch", "h": "heads", "q": "queries", "k": "keys"}


class Source(NamedTuple):
    """Context of an array of weights, apart from its shape.

    Attributes:
        name: Hook point, or `weights` for an array without a name.
        example: Example to show, or None.
        of_one: Whether labels, an image or links given with it are those of a single example.
        captured: Whether it is an entry of a capture, whose leading axis is the batch.
    """

    name: str
    example: int | None
    of_one: bool
    captured: bool


def check_axes(axes: str, name: str, shape: tuple[int, ...]) -> str:
    """Return axes that name each axis of an array once.

    Args:
        axes: One letter for each axis.
        name: The array's name.
        shape: The array's shape.

    Raises:
        ValueError: If a letter is unknown or repeated, queries or keys are missing, or their number
            is not the rank.
    """
    if set(axes) - set(WORDS) or len(set(axes)) < len(axes) or not {"q", "k"} <= set(axes):
        letters = ", ".join(f"{letter} ({word})" for letter, word in WORDS.items())
        raise ValueError(
            f"axes={axes!r} for {name!r}: give one letter for each axis, out of {letters}, each at "
            "most once, q and k always."
        )
    if len(axes) != len(shape):
        raise ValueError(
            f"axes={axes!r} names {len(axes)} axes, but {name!r} of shape {shape} has {len(shape)}."
        )
    return axes


def infer_axes(source: Source, shape: tuple[int, ...]) -> str:
    """Return the axes of an array if its shape has only one reading.

    Args:
        source: Context of the array.
        shape: The array's shape.

    Raises:
        ValueError: If the rank is not that of weights, or the shape has two readings.
    """
    stacked = source.captured and "*" in source.name.split(".")
    before, rest = ("l", shape[1:]) if stacked else ("", shape)
    if len(rest) == 3:
        return before + _batch_or_heads(source, shape, before)
    known = {2: "qk", 4: "bhqk", 5: "lbhqk"}
    if not source.captured and source.example is None:
        known[4] = "lhqk"
    if len(rest) not in known or len(before) + len(rest) > 5:
        raise ValueError(
            f"{source.name!r} has shape {shape}; (queries, keys), (heads, queries, keys) or "
            "(batch, heads, queries, keys) is needed, or one of them after an axis of layers."
        )
    return before + known[len(rest)]


def _batch_or_heads(source: Source, shape: tuple[int, ...], before: str) -> str:
    count = shape[-3]
    if source.example is not None:
        return "bqk"
    if count == 1:
        return "bqk" if source.captured else "hqk"
    if source.of_one and not source.captured:
        return "hqk"
    batch, heads = f"{before}bqk", f"{before}hqk"
    raise ValueError(
        f"{source.name!r} of shape {shape} may hold {count} examples of one head or {count} heads "
        f"of one example. Give axes={batch!r} and example=0 to {count - 1} for the former, "
        f"axes={heads!r} for the latter."
    )

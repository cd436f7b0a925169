"""Weights in any form, as a list of layers of maps."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attn_jax.plot.arrays import as_array, raw_array
from attn_jax.plot.checks import weights_array
from attn_jax.plot.viewer.axes import WORDS, Axes, Source, check_axes, infer_axes
from attn_jax.plot.viewer.sources import Item, Sources

# Labels for all maps, or for the layers of each name.
Labels = Sequence[object] | Mapping[str, Sequence[object]]


class Layer(NamedTuple):
    """The maps of one attention.

    Attributes:
        name: Hook point of the weights.
        weights: `(heads, queries, keys)`.
        axes: Letters of the axes of the array they come from.
        reading: The same in words, with the shape and the example shown.
        labels: Labels of the queries and of the keys that came with the array.
        first_query: Key that the first query is.
        source: Name of the array, for errors.
    """

    name: str
    weights: NDArray[Any]
    axes: str
    reading: str
    labels: tuple[Sequence[object] | None, Sequence[object] | None] = (None, None)
    first_query: int = 0
    source: str = "weights"


def is_summary(value: object) -> bool:
    """Return whether a value has the fields of an `AttentionSummary`."""
    return hasattr(value, "log_normalizer") and hasattr(value, "pooled")


def stacks(
    sources: Sources, axes: Axes = None, example: int | None = None, *, of_one: bool = False
) -> Iterator[Layer]:
    """Yield the layers of weights, not yet checked, as parts of the arrays they come from.

    Args:
        sources: Arrays by name; no summaries.
        axes: The axes of the arrays, for all or by name.
        example: The example of a batch to show; the only one by default.
        of_one: Whether labels, an image or links of one example come with the weights.

    Yields:
        The layers in the order given.

    Raises:
        ValueError: If an array is empty, or its axes are not clear.
    """
    for item in sources.items:
        source = Source(item.name, example, of_one, sources.is_named)
        letters = axes.get(item.key) if isinstance(axes, Mapping) else axes
        array = raw_array(item.values, repr(item.name) if sources.is_named else item.name)
        yield from _stack(source, item, array, letters or item.axes)


def checked(layer: Layer, *, normalized: bool = True) -> Layer:
    """Return a layer in float32, after checking its weights head by head.

    Args:
        layer: The layer.
        normalized: Whether each row must sum to one.

    Raises:
        ValueError: If a weight is not finite or negative, or a row does not sum to one.
    """
    for head, weights in enumerate(layer.weights):
        weights_array(
            as_array(weights), ("queries", "keys"), whole=normalized, name=layer.source, at=(head,)
        )
    return layer._replace(weights=layer.weights.astype(np.float32, copy=False))


def _stack(source: Source, item: Item, array: NDArray, axes: str | None) -> Iterator[Layer]:
    """Take an array apart into layers of `(heads, queries, keys)`."""
    if not array.size:
        shape = array.shape
        raise ValueError(f"{source.name!r} of shape {shape} is empty; there is nothing to draw.")
    letters = _letters(source, item, array.shape, axes)
    own = letters if item.layer is None else letters.replace("l", "", 1)
    reading = f"{' × '.join(map(str, array.shape))} = {' × '.join(WORDS[each] for each in own)}"
    if "b" in own:
        axis = own.index("b")
        chosen = one_of(source.name, array.shape, axis, source.example)
        reading += f", example {chosen}"
        array = array[(slice(None),) * axis + (slice(chosen, chosen + 1),)]
    if item.layer is not None:
        reading = f"layer {item.layer[0]} of {item.layer[1]}, {reading}"
    reading += f" ({item.note})" if item.note else ""
    for number, weights in enumerate(_in_order(array, own)):
        name = item.name
        if item.layer is None and not source.captured:
            name = f"layer {number}"
        elif "l" in own:
            name = f"{name}[{number}]"
        error_name = name if "l" in letters else item.name
        yield Layer(name, weights, letters, reading, item.labels, item.first_query, error_name)


def _letters(source: Source, item: Item, shape: tuple[int, ...], axes: str | None) -> str:
    """Return the axes of an array, with one of layers for an entry of a tuple."""
    if item.layer is None:
        return check_axes(axes, source.name, shape) if axes else infer_axes(source, shape)
    full = (item.layer[1], *shape)
    if axes:
        return check_axes(axes if "l" in axes else f"l{axes}", source.name, full)
    example = source.example if len(shape) > 3 else None
    return infer_axes(source._replace(captured=False, example=example), full)


def _in_order(array: NDArray, letters: str) -> NDArray:
    """Return `(layers, heads, queries, keys)`, with axes of one where the array has none."""
    order = [letters.index(letter) for letter in WORDS if letter in letters]
    full = array.transpose(order)
    missing = tuple(i for i, letter in enumerate(WORDS) if letter not in letters)
    return np.expand_dims(full, missing)[:, 0]


def one_of(name: str, shape: tuple[int, ...], axis: int, example: int | None) -> int:
    """Return which example of a batch to show.

    Raises:
        ValueError: If there are several and none is chosen, or the one chosen does not exist.
    """
    count = shape[axis]
    if example is None and count == 1:
        return 0
    if example is None or not -count <= example < count:
        chosen = "none is chosen" if example is None else f"none of them is example={example}"
        raise ValueError(
            f"{name!r} of shape {shape} holds {count} examples, and {chosen}; "
            f"choose one with example=0 to {count - 1}."
        )
    return example % count

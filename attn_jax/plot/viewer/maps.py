"""Weights in any form, as a list of layers of maps."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attn_jax.plot.arrays import as_array
from attn_jax.plot.checks import weights_array
from attn_jax.plot.viewer.axes import WORDS, Axes, Source, check_axes, infer_axes

# Labels for all maps, or for the layers of each name.
Labels = Sequence[object] | Mapping[str, Sequence[object]]


class Layer(NamedTuple):
    """The maps of one attention.

    Attributes:
        name: Hook point of the weights.
        weights: `(heads, queries, keys)`.
        axes: Letters of the axes of the array they come from.
        reading: The same in words, with the shape and the example shown.
    """

    name: str
    weights: NDArray[np.float32]
    axes: str
    reading: str


def is_summary(value: object) -> bool:
    """Return whether a value has the fields of an `AttentionSummary`."""
    return hasattr(value, "log_normalizer") and hasattr(value, "pooled")


def layers(
    weights: Any,
    axes: Axes = None,
    example: int | None = None,
    *,
    of_one: bool = False,
    normalized: bool = True,
) -> list[Layer]:
    """Return the layers of any weights that `attn_jax.plot.viewer` takes.

    Args:
        weights: An array, or arrays by name as `capture` returns them.
        axes: The axes of the arrays, for all or by name.
        example: The example of a batch to show; the only one by default.
        of_one: Whether labels, an image or links of one example come with the weights.
        normalized: Whether each row must sum to one.

    Returns:
        The layers in the order given.

    Raises:
        ValueError: If an array is not of weights, or its axes are not clear.
    """
    captured = isinstance(weights, Mapping)
    named = weights if captured else {"weights": weights}
    stacks = []
    for name, values in named.items():
        source = Source(str(name), example, of_one, captured)
        array = as_array(values, repr(source.name) if captured else "weights")
        letters = axes.get(source.name) if isinstance(axes, Mapping) else axes
        stacks += _stack(source, array, letters, normalized)
    return stacks


def _stack(source: Source, array: NDArray, axes: str | None, normalized: bool) -> list[Layer]:
    """Take an array apart into layers of `(heads, queries, keys)`."""
    shape = array.shape
    if not array.size:
        raise ValueError(f"{source.name!r} of shape {shape} is empty; there is nothing to draw.")
    letters = check_axes(axes, source.name, shape) if axes else infer_axes(source, shape)
    reading = f"{' × '.join(map(str, shape))} = {' × '.join(WORDS[letter] for letter in letters)}"
    if "b" in letters:
        chosen = one_of(source.name, shape, letters.index("b"), source.example)
        reading += f", example {chosen}"
        array = array.take([chosen], letters.index("b"))
    maps = _in_order(array, letters)
    name = "{}[{}]" if source.captured else "layer {1}"
    if source.captured and "l" not in letters:
        name = "{}"
    return [
        Layer(
            name.format(source.name, i),
            weights_array(
                each, ("heads", "queries", "keys"), whole=normalized, name=source.name
            ).astype(np.float32),
            letters,
            reading,
        )
        for i, each in enumerate(maps)
    ]


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

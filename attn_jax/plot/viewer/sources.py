"""Weights in the containers of other libraries, as arrays by name.

No library is imported: a tuple of one array per layer as transformers returns it, its outputs with
`attentions`, the steps of its `generate`, Flax's `intermediates` and xarray's `DataArray` are known
by their form.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from attn_jax.plot.arrays import as_array
from attn_jax.plot.viewer.named_axes import is_data_array, read_data_array

Labels = Sequence[object] | None

# The fields of transformers' outputs that hold weights, and the names of their layers.
_FIELDS = {
    "attentions": "layers.{}",
    "encoder_attentions": "encoder.layers.{}",
    "decoder_attentions": "decoder.layers.{}",
    "cross_attentions": "decoder.layers.{}.cross",
}
_PARTS = {"text_model_output": "text", "vision_model_output": "vision"}
# What a capture may hold beside weights, by the last part of its name.
_OTHERS = ("query", "key", "value", "scores", "context", "output", "head_output", "residual", "mlp")
_OTHERS += ("residual_mid", "residual_out", "embedding", "logits", "__call__")


class Item(NamedTuple):
    """An array of weights, or a summary.

    Attributes:
        name: Hook point, or name of the layer.
        key: Name of what it came from: its own, or that of a tuple.
        values: The array, in any form that `as_array` reads.
        layer: Number of the layer and of all layers, for an entry of a tuple.
        axes: Letters of its axes, if its dimensions are named.
        labels: Labels of the queries and of the keys, if its dimensions have any.
        first_query: Key that the first query is, for the steps of a generation.
        note: What was done to it, in words.
    """

    name: str
    key: str
    values: Any
    layer: tuple[int, int] | None = None
    axes: str | None = None
    labels: tuple[Labels, Labels] = (None, None)
    first_query: int = 0
    note: str = ""


class Sources(NamedTuple):
    """What a container holds.

    Attributes:
        items: The weights and summaries, in order.
        is_named: Whether they have names of their own, as a capture's have.
        skipped: The names of what was left out, and why.
    """

    items: list[Item]
    is_named: bool
    skipped: list[str]


def read_sources(weights: Any, *, stacked: bool = False) -> Sources:
    """Return the arrays of weights that a container holds.

    Args:
        weights: An array, a tuple of one per layer, arrays by name, nested or not, the outputs of a
            model of transformers or of its `generate`, or a `DataArray`.
        stacked: Whether a tuple of arrays of rank 3 is one array.

    Returns:
        The arrays, and what else was there.

    Raises:
        ValueError: If the model returned no weights.

    Example:
        >>> import numpy as np
        >>> from attn_jax.plot.viewer.sources import read_sources
        >>> maps = np.full((1, 2, 3, 3), 1 / 3)
        >>> sources = read_sources({"attentions": (maps, None, maps), "logits": np.zeros(3)})
        >>> [item.name for item in sources.items], sources.skipped
        (['layers.0', 'layers.2'], ['layers.1 (None)', 'logits (not weights)'])
    """
    if not isinstance(weights, Mapping) and _fields(weights):
        weights = {name: getattr(weights, name, None) for name in _FIELDS}
    skipped: list[str] = []
    if not isinstance(weights, Mapping):
        items = _read("weights", "layer {}", weights, skipped, stacked=stacked)
        return Sources(items, False, skipped)
    if _fields(weights) and all(_is_empty(weights.get(name)) for name in _FIELDS):
        as_array(None, "attentions")  # which says how to ask for them
    items = [
        item
        for name, layers, value in _flat(weights, skipped)
        for item in _read(name, layers, value, skipped)
    ]
    return Sources(_only_weights(items, skipped), True, skipped)


def _fields(outputs: Any) -> bool:
    """Return whether an object has a field for weights, if only an empty one."""
    return any(hasattr(outputs, name) for name in _FIELDS) or (
        isinstance(outputs, Mapping) and any(isinstance(outputs.get(n), tuple) for n in _FIELDS)
    )


def _flat(tree: Mapping[Any, Any], skipped: list[str]) -> Iterator[tuple[str, str, Any]]:
    """Yield the leaves of nested mappings: their name, the name of each layer, and the value."""
    outputs = _fields(tree) or any(map(_fields, tree.values()))
    for name, value in tree.items():
        if isinstance(value, Mapping):
            prefix = "" if name == "intermediates" else f"{_PARTS.get(name, name)}."
            for inner, layers, leaf in _flat(value, skipped):
                yield _clean(prefix + inner), prefix + layers, leaf
        elif not outputs:
            yield str(name), f"{name}[{{}}]", value
        elif name in _FIELDS:
            if not _is_empty(value):
                yield str(name), _FIELDS[name], value
        elif value is not None:
            skipped.append(f"{name} (not weights)")


def _is_empty(field: Any) -> bool:
    """Return whether a field holds no layer: None, or () for a model without that attention."""
    return field is None or (
        isinstance(field, tuple) and all(isinstance(each, tuple) and not each for each in field)
    )


def _clean(name: str) -> str:
    """Return a path of Flax as hook points are named: `layers_2` is `layers.2`."""
    return re.sub(r"_(\d+)(?=\.|$)", r".\1", name)


def _read(
    name: str, layers: str, value: Any, skipped: list[str], *, stacked: bool = False
) -> list[Item]:
    """Return the arrays of one value."""
    if hasattr(value, "get_value"):
        value = value.get_value()  # a variable of Flax NNX
    if is_data_array(value):
        axes, labels = read_data_array(value)
        return [Item(name, name, value.values, axes=axes, labels=labels)]
    is_record = hasattr(value, "_fields")  # an AttentionSummary is a tuple too
    if not isinstance(value, list | tuple) or is_record or all(each is None for each in value):
        return [Item(name, name, value)]
    if isinstance(value, tuple) and len(value) == 1 and "[" in layers:
        return _read(name, layers, value[0], skipped)  # as `sow` keeps it
    note, first = "", 0
    if _is_steps(value):
        note = f"{len(value)} steps of generation, a row each"
        value, first = _joined(value)
    ranks = {_rank(each) for each in value if each is not None}
    shapes = {np.shape(each) for each in value if _rank(each)}
    uneven = len(shapes) > 1 or any(each is None for each in value)
    if not ranks or min(ranks) < 3 or (ranks == {3} and not uneven and (stacked or "[" in layers)):
        return [Item(name, name, value)]
    skipped += [f"{layers.format(i)} (None)" for i, each in enumerate(value) if each is None]
    return [
        Item(layers.format(i), name, each, (i, len(value)), first_query=first, note=note)
        for i, each in enumerate(value)
        if each is not None
    ]


def _rank(value: Any) -> int:
    """Return the rank of an array, and 0 for anything else."""
    return len(getattr(value, "shape", ()))


def _is_steps(value: Sequence[Any]) -> bool:
    """Return whether a tuple holds, for each step, a tuple of one array per layer."""
    return all(
        isinstance(step, list | tuple) and step and all(_rank(layer) == 4 for layer in step)
        for step in value
    )


def _joined(steps: Sequence[Sequence[Any]]) -> tuple[list[np.ndarray], int]:
    """Join the rows of the steps of a generation, and tell which key the first query is.

    Args:
        steps: For each step an array per layer, `(batch, heads, queries, keys)`; a later step may
            have more keys.

    Returns:
        An array per layer, zero at keys that did not exist yet, and the number of the key.
    """
    layers = []
    for layer in zip(*steps, strict=True):
        rows = [as_array(step) for step in layer]
        most = max(each.shape[-1] for each in rows)
        padding = [(0, 0)] * 3
        rows = [np.pad(each, [*padding, (0, most - each.shape[-1])]) for each in rows]
        layers.append(np.concatenate(rows, axis=2))
    (_, _, queries, keys), last = steps[0][0].shape, steps[-1][0].shape[-1]
    return layers, keys - queries if last > keys else 0


def _only_weights(items: list[Item], skipped: list[str]) -> list[Item]:
    """Leave out what a capture holds beside weights."""
    ends = [re.split(r"[./]", re.sub(r"[#\[].*", "", item.name))[-1] for item in items]
    weights = [item for item, end in zip(items, ends, strict=True) if end not in _OTHERS]
    if not weights:
        return items
    skipped += [
        f"{item.name} (not weights)"
        for item, end in zip(items, ends, strict=True)
        if end in _OTHERS
    ]
    return weights

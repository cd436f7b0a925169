"""Summaries of long sequences whose maps were never stored, and stored tiles of them."""

from collections.abc import Mapping, Sequence
from operator import index
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attn_jax.plot.arrays import as_array
from attn_jax.plot.checks import weights_array
from attn_jax.plot.viewer import encode
from attn_jax.plot.viewer.axes import WORDS
from attn_jax.plot.viewer.maps import one_of

# Fields of an AttentionSummary, with the number of axes after the heads.
_AXES = {
    "log_normalizer": 1,
    "entropy": 1,
    "max_logit": 1,
    "distance": 1,
    "received": 1,
    "top_weights": 2,
    "top_indices": 2,
    "pooled": 2,
}
_LINES = ("entropy", "distance", "received", "max_logit")

Tiles = Mapping[tuple[int, int], NDArray[np.float32]]


class SummaryLayer(NamedTuple):
    """The summary of one attention.

    Attributes:
        name: Hook point of the summary.
        fields: Fields of the `AttentionSummary` that are not None, heads first.
        tiles: Stored parts of its maps, `(heads, rows, columns)`, by first query and key.
        axes: Letters of the axes of its `log_normalizer`.
        reading: The same in words, with the shape and the example shown.
        labels: Labels of the queries and of the keys that came with the weights.
        first_query: Key that the first query is.
    """

    name: str
    fields: dict[str, NDArray]
    tiles: Tiles
    axes: str
    reading: str
    labels: tuple[Sequence[object] | None, Sequence[object] | None] = (None, None)
    first_query: int = 0

    @property
    def shape(self) -> tuple[int, int]:
        """Number of queries and keys; without `received`, as many keys as queries."""
        queries = self.fields["log_normalizer"].shape[1]
        received = self.fields.get("received")
        return queries, queries if received is None else received.shape[1]


def summary_layer(
    name: str, summary: Any, example: int | None, tiles: Mapping[Any, Any]
) -> SummaryLayer:
    """Return one example of a summary as a layer.

    Args:
        name: Name of the layer.
        summary: Object with the fields of an `AttentionSummary`.
        example: Example of a batch; the only one by default.
        tiles: Parts of the maps, `(heads, rows, columns)`, by first query and key.

    Returns:
        The layer.

    Raises:
        ValueError: If a field has another rank, or a tile is not valid or not within the maps.
    """
    fields = {
        field: _field(f"{name}.{field}", getattr(summary, field), axes, example)
        for field, axes in _AXES.items()
        if getattr(summary, field, None) is not None
    }
    parts = {
        (index(row), index(column)): np.asarray(as_array(tile, "tiles"), np.float32)
        for (row, column), tile in tiles.items()
    }
    shape = np.shape(summary.log_normalizer)
    axes = "bhq" if len(shape) == 3 else "hq"
    layer = SummaryLayer(name, fields, parts, axes, _reading(shape, axes, example))
    for place, tile in parts.items():
        _check_tile(layer, place, tile)
    return layer


def _reading(shape: tuple[int, ...], axes: str, example: int | None) -> str:
    words = " × ".join(WORDS[letter] for letter in axes)
    chosen = f", example {(example or 0) % shape[0]}" if "b" in axes else ""
    return f"{' × '.join(map(str, shape))} = {words}{chosen}"


def _field(name: str, value: Any, axes: int, example: int | None) -> NDArray:
    array = as_array(value, name)
    if array.ndim == axes + 2:
        array = array[one_of(name, array.shape, 0, example)]
    if array.ndim != axes + 1 or not array.size:
        expected = "(heads, tokens)" if axes == 1 else "(heads, rows, columns)"
        raise ValueError(
            f"{name} has shape {np.shape(value)}; {expected} of one example is needed."
        )
    return array


def _check_tile(layer: SummaryLayer, place: tuple[int, int], tile: NDArray) -> None:
    sizes = (len(layer.fields["log_normalizer"]), *layer.shape)
    ends = np.add((0, *place), tile.shape) if tile.ndim == 3 else (np.inf,)
    if min(place) < 0 or np.any(np.greater(ends, sizes)) or len(tile) != sizes[0]:
        raise ValueError(
            f"the tile at {place} of {layer.name!r} has shape {tile.shape}; (heads, rows, columns) "
            f"within {sizes[0]} heads, {sizes[1]} queries and {sizes[2]} keys is needed."
        )
    axes = ("heads", "rows", "columns")
    weights_array(tile, axes, whole=False, name=f"the tile at {place} of {layer.name!r}: tile")


def encode_summary(layer: SummaryLayer, top_k: int, blobs: list[str]) -> dict[str, Any]:
    """Encode a layer, appending its arrays to `blobs`.

    Returns:
        Its entry in the payload.
    """

    def add(text: str) -> int:
        blobs.append(text)
        return len(blobs) - 1

    def line(values: NDArray) -> dict[str, object]:
        scale, text = encode.encode_line(values)
        return {**scale, "blob": add(text)}

    fields = layer.fields
    entry: dict[str, Any] = {"name": layer.name, "shape": layer.shape}
    entry["heads"] = len(fields["log_normalizer"])
    entry["lines"] = {name: list(map(line, fields[name])) for name in _LINES if name in fields}
    if "pooled" in fields:
        maps = list(map(line, fields["pooled"]))
        entry["pooled"] = {"shape": fields["pooled"].shape[1:], "heads": maps}
    if "top_weights" in fields:
        count = min(top_k, fields["top_weights"].shape[2])
        pairs = zip(fields["top_weights"], fields["top_indices"], strict=True)
        entry["top"] = {"n": count, "heads": [add(_top(w, i, count)) for w, i in pairs]}
    entry["tiles"] = [
        {"start": place, "shape": tile.shape[1:], "topK": min(top_k, tile.shape[2])}
        | {"heads": [add(encode.encode_map(head, min(top_k, tile.shape[2]))) for head in tile]}
        for place, tile in layer.tiles.items()
    ]
    return entry


def _top(weights: NDArray, keys: NDArray, count: int) -> str:
    exact = weights[:, :count].astype(np.float32)
    return encode.text(encode.planes(exact), encode.planes(keys[:, :count].astype(np.int32)))

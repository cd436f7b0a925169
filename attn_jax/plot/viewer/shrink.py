"""Maps that would make a page too large to send or open, as summaries of them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from attn_jax.plot.arrays import as_array
from attn_jax.plot.checks import weights_array
from attn_jax.plot.viewer.encode import top_weights
from attn_jax.plot.viewer.maps import Layer
from attn_jax.plot.viewer.summaries import SummaryLayer

# A cell takes about a byte of a page, less where attention is peaked.
MOST_CELLS = 40_000_000
_TOP = 8
_TILES = 128


def choose_whole(
    sizes: Sequence[tuple[str, int]], whole_layers: Sequence[int | str] | None
) -> set[str]:
    """Return the layers whose maps are stored whole.

    Args:
        sizes: The name and the number of weights of each layer.
        whole_layers: Names or numbers of the layers; by default all if they have at most 40 million
            weights together, else the first that have.

    Raises:
        ValueError: If a layer does not exist.
    """
    names = [name for name, _ in sizes]
    if whole_layers is None:
        ends = np.cumsum([size for _, size in sizes])
        return {name for name, end in zip(names, ends, strict=True) if end <= MOST_CELLS}
    for layer in whole_layers:
        if layer not in (names if isinstance(layer, str) else range(-len(names), len(names))):
            known = ", ".join(map(repr, names[:8]))
            raise ValueError(f"whole_layers names {layer!r}; there are {len(names)}: {known}.")
    return {layer if isinstance(layer, str) else names[layer] for layer in whole_layers}


def summarize(layer: Layer, whole: int, layers: int, *, normalized: bool = True) -> SummaryLayer:
    """Return a summary of a layer in place of its maps, after checking them.

    Args:
        layer: The layer.
        whole: Number of layers that are stored whole.
        layers: Number of layers.
        normalized: Whether each row must sum to one.

    Raises:
        ValueError: As in `maps.checked`.
    """
    heads = []
    for head, weights in enumerate(layer.weights):
        axes = ("queries", "keys")
        array = as_array(weights)
        checked = weights_array(array, axes, whole=normalized, name=layer.source, at=(head,))
        heads.append(_summary(checked.astype(np.float32)))
    fields = {name: np.stack([each[name] for each in heads]) for name in heads[0]}
    reading = (
        f"{layer.reading}; a summary, as a page of all {layers} layers would be too large to open "
        f"({whole} {'is' if whole == 1 else 'are'} stored whole; whole_layers=[...] chooses others)"
    )
    return SummaryLayer(
        layer.name, fields, {}, layer.axes, reading, layer.labels, layer.first_query
    )


def _summary(weights: NDArray[np.float32]) -> dict[str, NDArray]:
    """Return the fields of an `AttentionSummary` for one map."""
    queries, keys = weights.shape
    logs = np.log(weights, out=np.zeros_like(weights), where=weights > 0)
    apart = np.abs(np.arange(queries)[:, None] - np.arange(keys)).astype(np.float32)
    top, places = top_weights(weights, min(_TOP, keys))
    rows, columns = (np.arange(min(n, _TILES)) * n // min(n, _TILES) for n in weights.shape)
    sums = np.add.reduceat(np.add.reduceat(weights, rows, 0), columns, 1)
    sizes = np.outer(np.diff([*rows, queries]), np.diff([*columns, keys]))
    return {
        # The logits are not known; only the number of heads and queries is read off this.
        "log_normalizer": np.zeros(queries, np.float32),
        "entropy": -np.einsum("qk,qk->q", weights, logs),
        "distance": np.einsum("qk,qk->q", weights, apart),
        "received": weights.sum(0),
        "top_weights": top,
        "top_indices": places.astype(np.int32),
        "pooled": (sums / sizes).astype(np.float32),
    }

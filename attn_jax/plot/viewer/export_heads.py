"""The heads of a layer as lines, and the vectors behind a query's weights, as figures for print."""

from collections.abc import Mapping
from colorsys import hls_to_rgb
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from attn_jax.plot.colors import ATTENTION, SIGNED
from attn_jax.plot.figure import Figure as Sheet
from attn_jax.plot.figure import plain, safe, tick_labels, title
from attn_jax.plot.viewer.content import Content

# Weights below this part of the largest have no line.
_FAINTEST = 0.04
_ROW = 0.26


def head_lines(content: Content, state: Mapping[str, Any]) -> Figure:
    """Draw all heads of the layer as lines from queries to keys, a color for each head."""
    layer = content.layers[state.get("layer", 0)]
    heads, queries, keys = layer.weights.shape
    result = Sheet((5.6, 1.0 + _ROW * max(queries, keys)))
    axes = result.subplots()
    colors = [hls_to_rgb(i / heads + 0.58, (0.36, 0.5)[i % 2], 0.75) for i in range(heads)]
    for weights, color in zip(layer.weights, colors, strict=True):
        axes.add_collection(_lines(weights, float(layer.weights.max()) or 1.0, color))
    for x, side, labels, count in (
        (0, "right", content.labels[layer.name][0], queries),
        (1, "left", content.labels[layer.name][1], keys),
    ):
        offset = -0.03 if side == "right" else 0.03
        for i in range(count):
            name = plain(labels[i]) if labels else str(i)
            safe(axes.text(x + offset, i, name, ha=side, va="center", fontsize=8))
    axes.set(xlim=(-0.4, 1.4), ylim=(max(queries, keys) - 0.5, -0.5))
    axes.axis("off")
    handles = [Line2D([], [], color=color, lw=3) for color in colors]
    names = [f"head {i}" for i in range(heads)]
    result.legend(handles, names, loc="outside lower center", ncols=6, frameon=False, fontsize=8)
    title(axes, plain(layer.name))
    return result


def _lines(weights: NDArray, largest: float, color: tuple[float, float, float]) -> LineCollection:
    query, key = np.nonzero(weights > _FAINTEST * largest)
    t = np.linspace(0, 1, 24)
    ease = t * t * (3 - 2 * t)
    paths = [np.column_stack([t, q + (k - q) * ease]) for q, k in zip(query, key, strict=True)]
    shades = [
        to_rgba(color, float(weights[q, k]) / largest) for q, k in zip(query, key, strict=True)
    ]
    return LineCollection(paths, colors=shades, linewidths=1.2)


def neuron(content: Content, state: Mapping[str, Any]) -> Figure:
    """Draw a query's vector, those of the keys, their products and the weights.

    Raises:
        ValueError: If queries and keys of the layer were not captured.
    """
    layer = content.layers[state.get("layer", 0)]
    operands = content.operands[layer.name]
    if operands.query is None or operands.key is None:
        raise ValueError(
            f"queries and keys of {layer.name!r} were not captured, so the neuron view has nothing "
            "to draw; capture '*.query' and '*.key' as well, or select another layer."
        )
    head = state.get("head", 0)
    head = 0 if head == "mean" else head
    query = state.get("query") or 0
    queries, keys = content.labels[layer.name]
    vector, vectors = operands.query[head, query], operands.key[head]
    result = Sheet((8.4, 1.4 + _ROW * len(vectors)))
    first, second, third = result.subplots(1, 3, sharey=True, width_ratios=(5, 5, 1))
    _strips(first, vectors, "key")
    _strips(second, vectors * vector, "query × key")
    third.imshow(layer.weights[head, query][:, None], cmap=ATTENTION, vmin=0, aspect="auto")
    third.set_xticks([])
    title(third, "weight")
    names = keys or list(map(str, range(len(vectors))))
    tick_labels(first, "y", names)
    name = plain(queries[query]) if queries else str(query)
    safe(result.suptitle(f"query {name}, {plain(layer.name)}, head {head}", fontsize=10))
    return result


def _strips(axes: Axes, vectors: NDArray, name: str) -> None:
    size = float(np.abs(vectors).max()) or 1.0
    axes.imshow(vectors, cmap=SIGNED, norm=Normalize(-size, size), aspect="auto")
    axes.set_xlabel("feature")
    title(axes, name)

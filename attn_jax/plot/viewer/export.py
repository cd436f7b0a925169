"""What is selected, as a figure for print."""

import types
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from attn_jax.plot.alignment import alignment
from attn_jax.plot.bars import bars
from attn_jax.plot.colours import ATTENTION, RIGHT
from attn_jax.plot.figure import Figure as Sheet
from attn_jax.plot.figure import plain, title
from attn_jax.plot.heads import heads
from attn_jax.plot.heatmap import heatmap
from attn_jax.plot.overlay import colour_scale, overlay
from attn_jax.plot.summary import summary
from attn_jax.plot.viewer.content import Content, Links


def figure(content: Content, state: Mapping[str, Any]) -> Figure:
    """Draws the view that the state names.

    Args:
        content: What the viewer holds.
        state: What is selected.

    Returns:
        The figure.
    """
    draw = {"matrix": _matrix, "tokens": _tokens, "overview": _overview, "image": _image}
    draw |= {"alignment": _alignment, "compare": _compare, "summary": _summary}
    return draw[state["view"]](content, state)


def _selected(content: Content, state: Mapping[str, Any], layers: Any = None) -> NDArray:
    weights = (layers or content.layers)[state.get("layer", 0)].weights
    head = state.get("head", 0)
    return weights.mean(0) if head == "mean" else weights[head]


def _labels(
    content: Content, state: Mapping[str, Any]
) -> tuple[list[str] | None, list[str] | None]:
    return content.labels[content.layers[state.get("layer", 0)].name]


def _links(content: Content, weights: NDArray) -> Links | tuple[None, None]:
    """The sure and possible links, where they are of these weights."""
    if content.gold is None or content.gold[0].shape != weights.shape:
        return None, None
    return content.gold


def _matrix(content: Content, state: Mapping[str, Any]) -> Figure:
    """Frames the row of the selected query and the column of the selected key."""
    queries, keys = _labels(content, state)
    weights = _selected(content, state)
    sure, possible = _links(content, weights)
    drawn = heatmap(
        weights, queries=queries, keys=keys, sure=sure, possible=possible, normalized=False
    )
    look = {"fill": False, "edgecolor": RIGHT, "linewidth": 1.2}
    if (query := state.get("query")) is not None:
        drawn.axes[0].add_patch(Rectangle((-0.5, query - 0.5), weights.shape[1], 1, **look))
    if (key := state.get("key")) is not None:
        drawn.axes[0].add_patch(Rectangle((key - 0.5, -0.5), 1, weights.shape[0], **look))
    return drawn


def _tokens(content: Content, state: Mapping[str, Any]) -> Figure:
    query = state.get("query") or 0
    queries, keys = _labels(content, state)
    drawn = bars(_selected(content, state)[query], keys=keys, normalized=False)
    name = queries[query] if queries else query
    title(drawn.axes[0], f"query {plain(name)}")
    return drawn


def _overview(content: Content, state: Mapping[str, Any]) -> Figure:
    shapes = list(dict.fromkeys(layer.weights.shape for layer in content.layers))
    if len(shapes) > 1:
        raise ValueError(
            f"one figure of all heads needs layers of one shape, these have {shapes}; "
            "select a layer and view='matrix', or save the page."
        )
    return heads(np.stack([layer.weights for layer in content.layers]))


def _image(content: Content, state: Mapping[str, Any]) -> Figure:
    assert content.image is not None
    row = _selected(content, state)[state.get("query") or 0]
    before = content.prefix_tokens
    return overlay(content.image, row, content.grid, prefix_tokens=before, normalized=False)


def _alignment(content: Content, state: Mapping[str, Any]) -> Figure:
    weights = _selected(content, state)
    sure, possible = _links(content, weights)
    target, source = _labels(content, state)
    return alignment(
        weights,
        target=target or range(len(weights)),
        source=source or range(weights.shape[1]),
        sure=sure,
        possible=possible,
        normalized=False,
    )


def _compare(content: Content, state: Mapping[str, Any]) -> Figure:
    runs = {"this run": content.layers, "the other run": content.compared}
    pair = {name: _selected(content, state, layers) for name, layers in runs.items()}
    norm = Normalize(0.0, max(float(weights.max()) for weights in pair.values()) or 1.0)
    drawn = Sheet((8.6, 4.2))
    *both, scale = drawn.subplots(1, 3, width_ratios=(20, 20, 1))
    for axes, (name, weights) in zip(both, pair.items(), strict=True):
        queries, keys = _labels(content, state)
        look = {"vmax": norm.vmax, "normalized": False, "annotate": False}
        heatmap(weights, queries=queries, keys=keys, ax=axes, **look)
        title(axes, name)
    colour_scale(drawn, ScalarMappable(norm, ATTENTION), at=scale)
    return drawn


def _summary(content: Content, state: Mapping[str, Any]) -> Figure:
    layer = content.summaries[state.get("layer", 0)]
    return summary(types.SimpleNamespace(**layer.fields))

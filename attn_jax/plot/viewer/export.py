"""The selection of a viewer as a figure for print."""

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
from attn_jax.plot.colors import ATTENTION, RIGHT
from attn_jax.plot.figure import Figure as Sheet
from attn_jax.plot.figure import plain, title
from attn_jax.plot.heads import heads
from attn_jax.plot.heatmap import heatmap
from attn_jax.plot.overlay import color_bar, overlay
from attn_jax.plot.summary import summary
from attn_jax.plot.viewer.content import Content, Links
from attn_jax.plot.viewer.export_heads import head_lines, neuron


def figure(content: Content, state: Mapping[str, Any]) -> Figure:
    """Draw the view that the state names.

    Args:
        content: Content of the viewer.
        state: Selection of the viewer.

    Returns:
        The figure.
    """
    draw = {"matrix": _matrix, "tokens": _tokens, "overview": _overview, "image": _image}
    draw |= {"alignment": _alignment, "compare": _compare, "summary": _summary}
    draw |= {"heads": head_lines, "neuron": neuron}
    return draw[state["view"]](content, state)


def _selected(content: Content, state: Mapping[str, Any], layers: Any = None) -> NDArray:
    weights = (layers or content.layers)[state.get("layer", 0)].weights
    head = state.get("head", 0)
    return weights.mean(0) if head == "mean" else weights[head]


def _labels(
    content: Content, state: Mapping[str, Any]
) -> tuple[list[str] | None, list[str] | None]:
    return content.labels[content.layers[state.get("layer", 0)].name]


def _mask(content: Content, state: Mapping[str, Any]) -> NDArray | None:
    """Return the cells of the selected map that may be attended to, if a mask is given."""
    masks = content.masks.get(content.layers[state.get("layer", 0)].name)
    if masks is None:
        return None
    head = state.get("head", 0)
    return np.any(masks, axis=0) if head == "mean" else masks[head if len(masks) > 1 else 0]


def _links(content: Content, weights: NDArray) -> Links | tuple[None, None]:
    """Return the sure and possible links, if they fit these weights."""
    if content.gold is None or content.gold[0].shape != weights.shape:
        return None, None
    return content.gold


def _matrix(content: Content, state: Mapping[str, Any]) -> Figure:
    """Draw a map, with a frame around the row of the query and the column of the key."""
    queries, keys = _labels(content, state)
    weights = _selected(content, state)
    sure, possible = _links(content, weights)
    result = heatmap(
        weights,
        queries=queries,
        keys=keys,
        mask=_mask(content, state),
        sure=sure,
        possible=possible,
        normalized=False,
    )
    look = {"fill": False, "edgecolor": RIGHT, "linewidth": 1.2}
    if (query := state.get("query")) is not None:
        result.axes[0].add_patch(Rectangle((-0.5, query - 0.5), weights.shape[1], 1, **look))
    if (key := state.get("key")) is not None:
        result.axes[0].add_patch(Rectangle((key - 0.5, -0.5), 1, weights.shape[0], **look))
    return result


def _tokens(content: Content, state: Mapping[str, Any]) -> Figure:
    query = state.get("query") or 0
    queries, keys = _labels(content, state)
    result = bars(_selected(content, state)[query], keys=keys, normalized=False)
    name = queries[query] if queries else query
    title(result.axes[0], f"query {plain(name)}")
    return result


def _overview(content: Content, state: Mapping[str, Any]) -> Figure:
    shapes = list(dict.fromkeys(layer.weights.shape for layer in content.layers))
    if len(shapes) > 1:
        raise ValueError(
            f"a figure of all heads needs layers of one shape, but these have {shapes}; "
            "select a layer and view='matrix', or save the page."
        )
    mask = _shared_mask(content)
    return heads(np.stack([layer.weights for layer in content.layers]), mask=mask)


def _shared_mask(content: Content) -> NDArray | None:
    """Return the mask of all maps, if they share one."""
    masks = [mask for layer in content.layers for mask in content.masks.get(layer.name, [None])]
    first = masks[0]
    shared = first is not None and all(mask is not None and (mask == first).all() for mask in masks)
    return first if shared else None


def _image(content: Content, state: Mapping[str, Any]) -> Figure:
    assert content.image is not None
    row = _selected(content, state)[state.get("query") or 0]
    prefix = content.prefix_tokens
    return overlay(content.image, row, content.grid, prefix_tokens=prefix, normalized=False)


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
    runs = (content.layers, content.compared)
    pair = [_selected(content, state, layers) for layers in runs]
    norm = Normalize(0.0, max(float(weights.max()) for weights in pair) or 1.0)
    result = Sheet((8.6, 4.2))
    *both, scale = result.subplots(1, 3, width_ratios=(20, 20, 1))
    for axes, name, weights in zip(both, content.compare_names, pair, strict=True):
        queries, keys = _labels(content, state)
        look = {"vmax": norm.vmax, "normalized": False, "annotate": False}
        heatmap(weights, queries=queries, keys=keys, ax=axes, mask=_mask(content, state), **look)
        title(axes, plain(name))
    color_bar(result, ScalarMappable(norm, ATTENTION), cax=scale)
    return result


def _summary(content: Content, state: Mapping[str, Any]) -> Figure:
    layer = content.summaries[state.get("layer", 0)]
    return summary(types.SimpleNamespace(**layer.fields))

"""Summaries of attention whose map was never stored."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure as MatplotlibFigure
from numpy.typing import ArrayLike, NDArray

from attn_jax.plot.arrays import as_array
from attn_jax.plot.checks import weights_array
from attn_jax.plot.colors import ATTENTION, INK, SERIES
from attn_jax.plot.figure import Figure, safe, style, title
from attn_jax.plot.overlay import color_bar

# Field, title, horizontal axis.
_LINES = (
    ("received", "received mass", "key"),
    ("entropy", "entropy, nats", "query"),
    ("distance", "mean distance", "query"),
    ("max_logit", "largest score", "query"),
)
_PLURAL = {"key": "keys", "query": "queries"}
_MAX_CELLS = 256


def summary(summary: Any) -> MatplotlibFigure:
    """Draw a summary: its map in tiles, and a line for each head of every other field.

    For many tokens, a line is the mean of neighbors, in a band from their minimum to their maximum.

    Args:
        summary: Object with any fields of an `AttentionSummary` of one example: `pooled`
            `(heads, tile rows, tile columns)`, `received` `(heads, keys)`, `entropy`,
            `distance` and `max_logit` `(heads, queries)`. Fields that are None are left out.

    Returns:
        The figure.

    Raises:
        ValueError: If a field has another rank, or there are none to draw.

    Example:
        >>> import types
        >>> import numpy as np
        >>> from attn_jax import plot
        >>> steps = np.arange(16.0)
        >>> received = np.stack([4 * np.exp(-steps / 4), np.ones(16)])
        >>> entropy = np.stack([np.log(1 + steps / 3), np.log(1 + steps)])
        >>> of_two_heads = types.SimpleNamespace(received=received, entropy=entropy)
        >>> figure = plot.summary(of_two_heads)
        >>> [line.get_label() for line in figure.axes[0].lines]
        ['head 0', 'head 1']
    """
    lines = [row for row in _LINES if getattr(summary, row[0], None) is not None]
    pooled = getattr(summary, "pooled", None)
    if pooled is None and not lines:
        names = ", ".join(["pooled", *(name for name, *_ in _LINES)])
        raise ValueError(f"the summary has none of {names}; request one with ops.Summary(...).")
    figure = Figure((3.6 * (pooled is not None) + 4.4 * bool(lines), max(3.2, 1.25 * len(lines))))
    parts = figure.subfigures(1, (pooled is not None) + bool(lines), squeeze=False)[0]
    if pooled is not None:
        _draw_pooled(parts[0].subplots(), pooled)
    if lines:
        panels = parts[-1].subplots(len(lines), squeeze=False)[:, 0]
        for panel, (name, text, axis) in zip(panels, lines, strict=True):
            _draw_lines(panel, _by_head(getattr(summary, name), name, axis), text, axis)
    return figure


def _draw_pooled(ax: Axes, pooled: ArrayLike) -> None:
    axes = ("heads", "tile rows", "tile columns")
    tiles = weights_array(pooled, axes, whole=False, name="pooled").mean(0)
    # Without the quantile, a few tiles on the diagonal or at a sink would leave the others white.
    norm = Normalize(0.0, float(np.quantile(tiles, 0.999)) or float(tiles.max()) or 1.0)
    style(ax, frame=False)
    ax.imshow(tiles, cmap=ATTENTION, norm=norm, interpolation="nearest", aspect="equal")
    ax.spines[:].set_visible(True)
    title(ax, "mean weight of each tile")
    ax.set_xlabel("keys", fontsize=8, color=INK)
    ax.set_ylabel("queries", fontsize=8, color=INK)
    color_bar(ax.figure.figure, ScalarMappable(norm, ATTENTION), beside=ax)


def _by_head(values: ArrayLike, name: str, axis: str) -> NDArray[np.float64]:
    array = np.asarray(as_array(values, name), np.float64)
    if array.ndim != 2 or not array.size:
        raise ValueError(
            f"{name} has shape {array.shape}; one example, (heads, {_PLURAL[axis]}), is "
            "needed: jax.tree.map(lambda x: x[0], summary) takes the first."
        )
    return array


def _draw_lines(ax: Axes, values: NDArray, text: str, axis: str) -> None:
    style(ax)
    tokens = values.shape[1]
    edges = cell_edges(tokens)
    sizes = np.diff(edges, append=tokens)
    centers = edges + (sizes - 1) / 2
    for head, line in enumerate(values):
        color = SERIES[head % len(SERIES)]
        low, high = np.minimum.reduceat(line, edges), np.maximum.reduceat(line, edges)
        ax.fill_between(centers, low, high, color=color, alpha=0.25, linewidth=0)
        means = np.add.reduceat(line, edges) / sizes
        ax.plot(centers, means, color=color, linewidth=0.9, label=f"head {head}")
    ax.margins(x=0.01)
    title(ax, text, fontsize=8, pad=3)
    ax.set_xlabel(axis, fontsize=8, color=INK)
    if len(values) > 1:
        safe(*ax.legend(fontsize=7, labelcolor=INK, frameon=False).get_texts())


def cell_edges(tokens: int) -> NDArray[np.int_]:
    """Return the first token of each cell, for a number of tokens."""
    cells = min(tokens, _MAX_CELLS)
    return np.arange(cells) * tokens // cells

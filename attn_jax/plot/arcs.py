"""Lines from the tokens that look to those that are looked at."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from attn_jax.plot.checks import check_labels, weights_array
from attn_jax.plot.colours import ATTENTION, INK
from attn_jax.plot.figure import canvas, every, plain, safe, style
from attn_jax.plot.overlay import colour_scale

_BEND = np.linspace(0.0, 1.0, 25)
_THICKEST = 3.5


def arcs(
    weights: ArrayLike,
    *,
    queries: Sequence[object] | None = None,
    keys: Sequence[object] | None = None,
    query: int | None = None,
    most: int = 1000,
    vmax: float | None = None,
    normalized: bool = True,
    colorbar: bool = True,
    ax: Axes | None = None,
) -> Figure:
    """Draws the queries at the left, the keys at the right, and a line for each weight.

    The larger the weight, the darker and thicker its line.

    Args:
        weights: ``(queries, keys)``, of any two lengths.
        queries: Labels at the left, top to bottom; their indices by default.
        keys: Labels at the right; their indices by default.
        query: Draws the lines of this query alone.
        most: How many lines to draw at most, the strongest.
        vmax: The weight that gets the darkest colour; the largest one by default.
        normalized: Whether each row must sum to one (or be all zero).
        colorbar: Whether to draw the scale beside a figure of its own; never beside ``ax``.
        ax: Where to draw; a new figure by default.

    Returns:
        The figure.

    Raises:
        ValueError: If the weights are none, there is another number of labels, or no such query.

    Example:
        >>> from attn_jax import plot
        >>> figure = plot.arcs([[0.9, 0.1], [0.0, 1.0]], queries=["la", "mer"], keys=["the", "sea"])
        >>> len(figure.axes[0].collections[0].get_paths())  # a weight of zero has no line
        3
    """
    weights = weights_array(weights, ("queries", "keys"), whole=normalized)
    check_labels(weights.shape, queries=queries, keys=keys)
    rows, columns = weights.shape
    if query is not None and not -rows <= query < rows:
        raise ValueError(f"query={query} is none of the {rows} queries, 0 to {rows - 1}.")
    figure, axes = canvas(ax, (4.2, float(np.clip(0.2 * max(rows, columns), 1.4, 8.0)) + 0.3))
    style(axes, frame=False)
    axes.set(xlim=(0, 1), ylim=(1, 0))
    norm = Normalize(0.0, vmax or float(weights.max()) or 1.0)
    axes.add_collection(_lines(_chosen(weights, query, most), weights, norm))
    _write_column(axes, queries, rows, -0.02, "right")
    _write_column(axes, keys, columns, 1.02, "left")
    if ax is None and colorbar:
        colour_scale(figure, axes.collections[0], beside=axes)
    return figure


def _chosen(weights: NDArray, query: int | None, most: int) -> NDArray[np.int_]:
    """Gives the (query, key) of the lines to draw, the weakest first, to lie below the others."""
    looked = weights.copy()
    if query is not None:
        looked[np.arange(len(looked)) != query % len(looked)] = 0
    strongest = np.argsort(looked, axis=None, kind="stable")[max(looked.size - most, 0) :]
    strongest = strongest[looked.flat[strongest] > 0]
    return np.stack(np.unravel_index(strongest, weights.shape), -1)


def _lines(pairs: NDArray[np.int_], weights: NDArray, norm: Normalize) -> LineCollection:
    left, right = np.hsplit((pairs + 0.5) / weights.shape, 2)
    y = left + (right - left) * _BEND**2 * (3 - 2 * _BEND)
    values = weights[tuple(pairs.T)]
    lines = LineCollection(
        list(np.stack([np.broadcast_to(_BEND, y.shape), y], -1)),
        cmap=ATTENTION,
        norm=norm,
        linewidths=0.4 + _THICKEST * np.clip(norm(values), 0, 1),
    )
    lines.set_array(values)
    return lines


def _write_column(
    ax: Axes, labels: Sequence[object] | None, count: int, x: float, side: str
) -> None:
    look = {"ha": side, "va": "center", "fontsize": 8, "color": INK}
    names = {i: plain(i if labels is None else labels[i]) for i in every(count)}
    safe(*(ax.text(x, (i + 0.5) / count, name, **look) for i, name in names.items()))

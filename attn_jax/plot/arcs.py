"""Lines from queries to the keys they attend to."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from attn_jax.plot.checks import check_labels, weights_array
from attn_jax.plot.colors import ATTENTION, INK
from attn_jax.plot.figure import canvas, labeled, plain, safe, style
from attn_jax.plot.labels import read_labels
from attn_jax.plot.overlay import color_bar
from attn_jax.renames import renamed_arguments

_BEND = np.linspace(0.0, 1.0, 25)
_MAX_WIDTH = 3.5


@renamed_arguments(most="top_k")
def arcs(
    weights: ArrayLike,
    *,
    queries: Sequence[object] | None = None,
    keys: Sequence[object] | None = None,
    query: int | None = None,
    top_k: int = 1000,
    vmax: float | None = None,
    normalized: bool = True,
    colorbar: bool = True,
    ax: Axes | None = None,
) -> Figure:
    """Draw queries on the left, keys on the right, and a line for each weight.

    Larger weights have darker and thicker lines.

    Args:
        weights: `(queries, keys)`, of any two lengths.
        queries: Labels on the left, top to bottom; the indices by default.
        keys: Labels on the right; the indices by default.
        query: Draw only the lines of this query.
        top_k: Number of lines to draw at most: those of the largest weights.
        vmax: Weight shown in the darkest color; the largest weight by default.
        normalized: Whether each row must sum to one (or be all zero).
        colorbar: Whether to draw a color bar; never drawn when `ax` is given.
        ax: Axes to draw on; a new figure by default.

    Returns:
        The figure.

    Raises:
        ValueError: If the weights are not valid, the labels do not fit them, or there is no such
            query.

    Example:
        >>> from attn_jax import plot
        >>> weights = [[0.8, 0.1, 0.1], [0.2, 0.1, 0.7], [0.0, 0.9, 0.1]]
        >>> french, english = ["la", "maison", "vide"], ["the", "empty", "house"]
        >>> figure = plot.arcs(weights, queries=english, keys=french)
        >>> len(figure.axes[0].collections[0].get_paths())  # a zero weight has no line
        8
    """
    weights = weights_array(weights, ("queries", "keys"), whole=normalized)
    check_labels(weights.shape, queries=queries, keys=keys)
    rows, columns = weights.shape
    if query is not None and not -rows <= query < rows:
        raise ValueError(
            f"there is no query={query} among {rows} queries; choose one of 0 to {rows - 1}."
        )
    figure, axes = canvas(ax, (4.2, float(np.clip(0.2 * max(rows, columns), 1.4, 8.0)) + 0.3))
    style(axes, frame=False)
    axes.set(xlim=(0, 1), ylim=(1, 0))
    norm = Normalize(0.0, vmax or float(weights.max()) or 1.0)
    axes.add_collection(_lines(_largest(weights, query, top_k), weights, norm))
    _write_column(axes, queries, rows, -0.02, "right")
    _write_column(axes, keys, columns, 1.02, "left")
    if ax is None and colorbar:
        color_bar(figure, axes.collections[0], beside=axes)
    return figure


def _largest(weights: NDArray, query: int | None, top_k: int) -> NDArray[np.int_]:
    """Return the (query, key) of each line, smallest weight first so that it lies below."""
    candidates = weights.copy()
    if query is not None:
        candidates[np.arange(len(candidates)) != query % len(candidates)] = 0
    cells = np.argsort(candidates, axis=None, kind="stable")[max(candidates.size - top_k, 0) :]
    cells = cells[candidates.flat[cells] > 0]
    return np.stack(np.unravel_index(cells, weights.shape), -1)


def _lines(pairs: NDArray[np.int_], weights: NDArray, norm: Normalize) -> LineCollection:
    left, right = np.hsplit((pairs + 0.5) / weights.shape, 2)
    y = left + (right - left) * _BEND**2 * (3 - 2 * _BEND)
    values = weights[tuple(pairs.T)]
    lines = LineCollection(
        list(np.stack([np.broadcast_to(_BEND, y.shape), y], -1)),
        cmap=ATTENTION,
        norm=norm,
        linewidths=0.4 + _MAX_WIDTH * np.clip(norm(values), 0, 1),
    )
    lines.set_array(values)
    return lines


def _write_column(
    ax: Axes, labels: Sequence[object] | None, count: int, x: float, side: str
) -> None:
    look = {"ha": side, "va": "center", "fontsize": 8, "color": INK}
    texts = range(count) if labels is None else read_labels(labels)
    names = {i: plain(texts[i]) for i in labeled(count)}
    safe(*(ax.text(x, (i + 0.5) / count, name, **look) for i, name in names.items()))

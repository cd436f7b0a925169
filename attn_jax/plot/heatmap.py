"""A map of weights: a row for each query, a column for each key."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from attn_jax.plot.checks import boolean_cells, check_labels, weights_array
from attn_jax.plot.colors import ATTENTION, INK, ON_DARK
from attn_jax.plot.figure import canvas, shown_length, style, tick_labels
from attn_jax.plot.gold import draw_gold, explain
from attn_jax.plot.overlay import color_bar

_MAX_VALUES = 100

Labels = Sequence[object] | None


def heatmap(
    weights: ArrayLike,
    *,
    queries: Sequence[object] | None = None,
    keys: Sequence[object] | None = None,
    mask: ArrayLike | None = None,
    sure: ArrayLike | None = None,
    possible: ArrayLike | None = None,
    annotate: bool | None = None,
    vmax: float | None = None,
    normalized: bool = True,
    colorbar: bool = True,
    ax: Axes | None = None,
) -> Figure:
    """Draw a matrix of weights, one row per query.

    Args:
        weights: `(queries, keys)`.
        queries: Labels of the rows, top to bottom.
        keys: Labels of the columns, left to right.
        mask: `(queries, keys)` booleans, True where attention is allowed; the other cells are
            gray, a color that no weight has.
        sure: `(queries, keys)` booleans: known links, outlined with a solid line.
        possible: `(queries, keys)` booleans: links that may be there, outlined with a dashed line.
        annotate: Whether to write each weight in its cell; by default, for up to 100 cells.
        vmax: Weight shown in the darkest color; the largest weight by default.
        normalized: Whether each row must sum to one (or be all zero).
        colorbar: Whether to draw a color bar; never drawn when `ax` is given.
        ax: Axes to draw on; a new figure by default.

    Returns:
        The figure.

    Raises:
        ValueError: If the weights are not valid, or labels, mask or links do not fit them.

    Example:
        >>> from attn_jax import plot
        >>> weights = [[0.8, 0.1, 0.1], [0.2, 0.1, 0.7], [0.0, 0.9, 0.1]]
        >>> french, english = ["la", "maison", "vide"], ["the", "empty", "house"]
        >>> figure = plot.heatmap(weights, queries=english, keys=french)
        >>> [cell.get_text() for cell in figure.axes[0].texts][:3]
        ['.80', '.10', '.10']
    """
    weights = weights_array(weights, ("queries", "keys"), whole=normalized)
    check_labels(weights.shape, queries=queries, keys=keys)
    cells = hide(weights, mask)
    figure, axes = canvas(ax, _figure_size(weights.shape, queries, keys), layout="compressed")
    norm = Normalize(0.0, vmax or float(weights.max()) or 1.0)
    draw_heatmap(axes, cells, norm)
    draw_gold(axes, weights.shape, sure=sure, possible=possible)
    _draw_labels(axes, queries, keys)
    if weights.size <= _MAX_VALUES if annotate is None else annotate:
        _write_values(axes, cells, norm)
    if ax is None and colorbar:
        color_bar(figure, ScalarMappable(norm, ATTENTION), beside=axes)
    if ax is None:
        explain(axes)
    return figure


def draw_heatmap(ax: Axes, weights: NDArray, norm: Normalize) -> None:
    """Draw a checked matrix, with masked cells in gray."""
    style(ax, frame=False)
    ax.imshow(weights, cmap=ATTENTION, norm=norm, interpolation="nearest", aspect="equal")
    ax.spines[:].set_visible(True)


def hide(weights: NDArray, mask: ArrayLike | None) -> np.ma.MaskedArray:
    """Mask the cells of maps `(…, queries, keys)` that `mask` `(queries, keys)` forbids."""
    hidden = False if mask is None else ~boolean_cells(mask, weights.shape[-2:], "mask")
    return np.ma.masked_array(weights, np.broadcast_to(hidden, weights.shape))


def _figure_size(shape: tuple[int, ...], queries: Labels, keys: Labels) -> tuple[float, float]:
    """Return the size in inches of cells, labels at 8 points and the color bar."""
    cell = min(0.32, 6.0 / max(shape))
    height, width = (max(0.6, cell * size) for size in shape)
    return width + 0.07 * _longest(queries) + 1.3, height + 0.05 * _longest(keys) + 0.8


def _longest(labels: Labels) -> int:
    return max(map(shown_length, labels)) if labels is not None else 2


def _draw_labels(ax: Axes, queries: Labels, keys: Labels) -> None:
    ax.xaxis.tick_top()
    if keys is not None:
        turned = {"rotation": 45, "ha": "left", "rotation_mode": "anchor"}
        tick_labels(ax, "x", keys, **(turned if _longest(keys) > 2 else {}))
    if queries is not None:
        tick_labels(ax, "y", queries)
    ax.tick_params(length=0)


def _write_values(ax: Axes, weights: np.ma.MaskedArray, norm: Normalize) -> None:
    for (row, column), weight in np.ndenumerate(weights):
        if not np.ma.getmaskarray(weights)[row, column]:
            color = ON_DARK if norm(weight) > 0.5 else INK
            text = f"{weight:.2f}".lstrip("0") if weight < 1 else f"{weight:.2g}"
            ax.text(column, row, text, ha="center", va="center", fontsize=7, color=color)

"""One map of weights: queries down, keys across."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from attn_jax.plot.checks import weights_array
from attn_jax.plot.colours import ATTENTION, INK, ON_DARK
from attn_jax.plot.figure import canvas, style, tick_labels
from attn_jax.plot.overlay import colour_scale

_MOST_LABELS = 40
_MOST_VALUES = 100


def heatmap(
    weights: ArrayLike,
    *,
    queries: Sequence[object] | None = None,
    keys: Sequence[object] | None = None,
    mask: ArrayLike | None = None,
    annotate: bool | None = None,
    vmax: float | None = None,
    normalized: bool = True,
    colorbar: bool = True,
    ax: Axes | None = None,
) -> Figure:
    """Draws a matrix of weights, one row per query.

    Args:
        weights: ``(queries, keys)``.
        queries: Labels of the rows, top to bottom.
        keys: Labels of the columns, left to right.
        mask: ``(queries, keys)`` booleans, True where attention is allowed; the other cells are
            drawn in grey, which no weight has.
        annotate: Whether to write each weight in its cell; up to 100 cells by default.
        vmax: The weight that gets the darkest colour; the largest one by default.
        normalized: Whether each row must sum to one (or be all zero).
        colorbar: Whether to draw the scale beside a figure of its own; never beside ``ax``.
        ax: Where to draw; a new figure by default.

    Returns:
        The figure.

    Raises:
        ValueError: If the weights are none, or labels or mask are of another size.

    Example:
        >>> from attn_jax import plot
        >>> weights = [[0.9, 0.1], [0.3, 0.7]]
        >>> figure = plot.heatmap(weights, queries=["la", "mer"], keys=["the", "sea"])
        >>> [cell.get_text() for cell in figure.axes[0].texts]
        ['.90', '.10', '.30', '.70']
    """
    weights = weights_array(weights, ("queries", "keys"), whole=normalized)
    _check_labels(weights.shape, queries, keys)
    shown = np.ma.masked_array(weights, _masked_cells(mask, weights.shape))
    figure, axes = canvas(ax, _sheet(weights.shape))
    norm = Normalize(0.0, vmax or float(weights.max()) or 1.0)
    draw_heatmap(axes, shown, norm)
    _draw_labels(axes, queries, keys)
    if weights.size <= _MOST_VALUES if annotate is None else annotate:
        _write_values(axes, shown, norm)
    if ax is None and colorbar:
        colour_scale(figure, ScalarMappable(norm, ATTENTION), beside=axes)
    return figure


def draw_heatmap(ax: Axes, weights: NDArray, norm: Normalize) -> None:
    """Draws a checked matrix, masked cells in grey."""
    style(ax, frame=False)
    ax.imshow(weights, cmap=ATTENTION, norm=norm, interpolation="nearest", aspect="equal")
    ax.spines[:].set_visible(True)


def _sheet(shape: tuple[int, ...]) -> tuple[float, float]:
    height, width = (float(np.clip(0.32 * size, 1.6, 6.0)) for size in shape)
    return width + 1.7, height + 0.9


def _masked_cells(mask: ArrayLike | None, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    if mask is None:
        return np.zeros(shape, bool)
    allowed = np.asarray(mask, bool)
    if allowed.shape != shape:
        raise ValueError(f"mask has shape {allowed.shape}, the weights {shape}; they must agree.")
    return ~allowed


def _check_labels(
    shape: tuple[int, ...], queries: Sequence[object] | None, keys: Sequence[object] | None
) -> None:
    for name, labels, size in (("queries", queries, shape[0]), ("keys", keys, shape[1])):
        if labels is not None and len(labels) != size:
            raise ValueError(
                f"{name} has {len(labels)} labels, but weights of shape {shape} have {size} {name}."
            )


def _draw_labels(ax: Axes, queries: Sequence[object] | None, keys: Sequence[object] | None) -> None:
    ax.xaxis.tick_top()
    if keys is not None and len(keys) <= _MOST_LABELS:
        longest = max((len(str(key)) for key in keys), default=0)
        turned = {"rotation": 45, "ha": "left", "rotation_mode": "anchor"} if longest > 2 else {}
        tick_labels(ax, "x", list(map(str, keys)), **turned)
    if queries is not None and len(queries) <= _MOST_LABELS:
        tick_labels(ax, "y", list(map(str, queries)))
    ax.tick_params(length=0)


def _write_values(ax: Axes, weights: np.ma.MaskedArray, norm: Normalize) -> None:
    for (row, column), weight in np.ndenumerate(weights):
        if not np.ma.getmaskarray(weights)[row, column]:
            colour = ON_DARK if norm(weight) > 0.5 else INK
            text = f"{weight:.2f}".lstrip("0") if weight < 1 else f"{weight:.2g}"
            ax.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)

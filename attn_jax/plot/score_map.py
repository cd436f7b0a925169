"""A map of numbers with a sign: layer by head, layer by position."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from attn_jax.plot.arrays import as_array
from attn_jax.plot.colors import INK, MASKED, MUTED, SIGNED
from attn_jax.plot.figure import canvas, safe, shown_length, style, tick_labels, title

Labels = Sequence[object] | None


def score_map(
    scores: Any,
    *,
    axes: Sequence[str] | None = None,
    rows: Labels = None,
    columns: Labels = None,
    label: str = "",
    vmax: float | None = None,
    colorbar: bool = True,
    ax: Axes | None = None,
) -> Figure:
    """Draw a table of scores, such as the effect of each head of each layer.

    Zero is white, positive numbers are blue and negative ones orange, on one scale for both. NaN, a
    head or position that does not exist, is hatched.

    Args:
        scores: `(rows, columns)`, or the `Scores` of `attn_jax.circuits` with two axes.
        axes: The names of the two axes; those of the `Scores`, or else none.
        rows: Labels of the rows, top to bottom; numbers by default.
        columns: Labels of the columns, left to right, such as tokens; numbers by default.
        label: What the numbers are, written beside the color bar, or above a map of few rows.
        vmax: The size shown in the darkest color; the largest size by default.
        colorbar: Whether to draw a color bar; never drawn when `ax` is given.
        ax: Axes to draw on; a new figure by default.

    Returns:
        The figure.

    Raises:
        ValueError: If the scores are not a table, one is infinite, or the labels do not fit.

    Example:
        >>> from attn_jax import plot
        >>> effects = [[0.0, -2.0, 0.3, 0.1], [1.0, -0.2, 0.6, float("nan")]]
        >>> figure = plot.score_map(effects, axes=("layer", "head"))
        >>> figure.axes[0].get_ylabel(), figure.axes[0].get_xlabel()
        ('layer', 'head')
    """
    names = getattr(scores, "axes", None) if axes is None else axes
    table = _table(getattr(scores, "values", scores), names)
    for name, labels, size in zip(("rows", "columns"), (rows, columns), table.shape, strict=True):
        if labels is not None and len(labels) != size:
            raise ValueError(f"{name} has {len(labels)} labels, and scores has {size} {name}.")
    figure, axis = canvas(ax, _size(table.shape, rows, columns), layout="compressed")
    limit = vmax or float(np.nanmax(np.abs(table), initial=0.0)) or 1.0
    norm = Normalize(-limit, limit)
    _draw(axis, table, norm)
    for side, labels, name in zip("yx", (rows, columns), names or ("", ""), strict=True):
        _label(axis, side, labels, name)
    if np.isnan(table).any():
        _explain_missing(axis)
    if ax is None and colorbar:
        _color_bar(figure, axis, norm, table, label)
    return figure


def _table(values: Any, names: Sequence[str] | None) -> NDArray[np.float64]:
    table = np.asarray(as_array(values, "scores"), np.float64)
    if table.ndim != 2 or table.size == 0:
        axes = f" with the axes {tuple(names)}" if names else ""
        raise ValueError(
            f"scores of shape {table.shape}{axes} are no table; choose two axes, as in "
            "plot.score_map(scores.values[..., -1], axes=('layer', 'head'))."
        )
    if names is not None and len(names) != 2:
        raise ValueError(f"axes={tuple(names)} names {len(names)} axes, and a table has two.")
    if np.isinf(table).any():
        row, column = np.argwhere(np.isinf(table))[0]
        raise ValueError(f"scores[{row}, {column}] is infinite; replace it, or use NaN.")
    return table


def _draw(ax: Axes, table: NDArray, norm: Normalize) -> None:
    style(ax, frame=False)
    ax.patch.set(facecolor=MASKED, hatch="//////", edgecolor=MUTED, linewidth=0)
    ax.patch.set_visible(bool(np.isnan(table).any()))
    ax.imshow(
        np.ma.masked_invalid(table),
        cmap=SIGNED,
        norm=norm,
        interpolation="nearest",
        aspect="equal" if min(_cells(table.shape)) == max(_cells(table.shape)) else "auto",
    )
    ax.spines[:].set_visible(True)


def _cells(shape: tuple[int, ...]) -> tuple[float, float]:
    """Return the height and width in inches of one cell: smaller, the more there are."""
    return (min(0.3, 5.0 / shape[0]), min(0.3, 6.5 / shape[1]))


def _size(shape: tuple[int, ...], rows: Labels, columns: Labels) -> tuple[float, float]:
    height, width = (max(0.6, cell * n) for cell, n in zip(_cells(shape), shape, strict=True))
    return width + 0.06 * _longest(rows) + 1.5, height + 0.05 * _longest(columns) + 0.8


def _longest(labels: Labels) -> int:
    return max(map(shown_length, labels)) if labels is not None else 2


def _label(ax: Axes, side: str, labels: Labels, name: str) -> None:
    axis = ax.xaxis if side == "x" else ax.yaxis
    axis.set_visible(True)
    if labels is None:
        axis.set_major_locator(MaxNLocator(12, integer=True, min_n_ticks=1))
    else:
        turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
        is_turned = side == "x" and _longest(labels) > 2
        tick_labels(ax, side, labels, **(turned if is_turned else {}))
    axis.set_tick_params(length=0)
    safe(axis.set_label_text(name, fontsize=8, color=INK))


def _explain_missing(ax: Axes) -> None:
    patch = Patch(facecolor=MASKED, hatch="//////", edgecolor=MUTED, linewidth=0, label="missing")
    ax.legend(
        handles=[patch],
        loc="lower right",
        bbox_to_anchor=(1, 1),
        frameon=False,
        fontsize=7,
        borderaxespad=0.2,
        labelcolor=INK,
    )


def _color_bar(figure: Figure, ax: Axes, norm: Normalize, table: NDArray, label: str) -> None:
    bar = figure.colorbar(ScalarMappable(norm, SIGNED), ax=ax, fraction=0.05, pad=0.03, aspect=18)
    low, high = (bool((table < 0).any()), bool((table > 0).any()))
    # Without numbers of one sign, that half of the scale says nothing.
    if low != high:
        bar.ax.set_ylim(norm.vmin if low else 0, norm.vmax if high else 0)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=MUTED, labelcolor=INK, labelsize=7, length=2, width=0.6)
    inches = max(0.6, _cells(table.shape)[0] * len(table))
    bar.locator = MaxNLocator(max(2, min(5, round(3 * inches))))
    bar.update_ticks()
    if 0.07 * len(label) < inches:
        safe(bar.ax.yaxis.set_label_text(label, fontsize=8, color=INK))
    else:  # longer than the bar
        title(ax, label, fontsize=8)

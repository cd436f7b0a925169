"""Learning curves, from rows of metrics."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from attn_jax.plot.colours import INK, PAPER, RULE, SERIES, SPLITS
from attn_jax.plot.figure import Figure, plain, safe, style, title

_DASHES = {"train": "-", "validation": (0, (5, 1.5)), "test": (0, (1.2, 1.2))}
_MARKERS = {"train": "o", "validation": "s", "test": "D"}
_SHARES = (0.1, 0.2, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 1.0)

Rows = Sequence[Mapping[str, Any]]


def curves(
    rows: Rows,
    metrics: Sequence[str] = ("loss", "accuracy"),
    *,
    x: str = "epoch",
    ax: Axes | None = None,
) -> MatplotlibFigure:
    """Draws one panel per metric, and in it one line per split.

    Accuracies that become high are spaced by the logarithm of the error, so that the step from 98
    to 99 % is as tall as that from 96 to 98 %; what else falls more than tenfold, by its own.

    Args:
        rows: Flat mappings as in ``metrics.jsonl``: ``{"epoch": 1, "train/loss": 0.3, …}``. A row
            may lack any metric.
        metrics: What to draw: the part of the names after the slash.
        x: The name of the horizontal axis in the rows.
        ax: Where to draw; only with one metric. A new figure by default.

    Returns:
        The figure.

    Raises:
        ValueError: If no row holds a metric, or several metrics are asked for on one ``ax``.

    Example:
        >>> from attn_jax import plot
        >>> rows = [{"epoch": 1, "train/loss": 0.5}, {"epoch": 2, "train/loss": 0.3}]
        >>> plot.curves(rows, ["loss"]).axes[0].lines[0].get_label()
        'train'
    """
    if ax is not None and len(metrics) != 1:
        raise ValueError(f"one ax takes one metric, but metrics={list(metrics)}; leave ax out.")
    if ax is None:
        figure = Figure((4.8 * len(metrics), 2.9))
        panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    else:
        figure, panels = ax.figure.figure, [ax]
    for panel, metric in zip(panels, metrics, strict=True):
        _draw_panel(panel, rows, metric, x)
    return figure


def _draw_panel(ax: Axes, rows: Rows, metric: str, x: str) -> None:
    lines = series(rows, metric, x)
    style(ax)
    ax.grid(axis="y", color=RULE, linewidth=0.5)
    ax.set_axisbelow(True)
    for at, (split, (steps, values)) in enumerate(lines.items()):
        colour = SPLITS.get(split, SERIES[at % len(SERIES)])
        look = {"color": colour, "linestyle": _DASHES.get(split, "-"), "linewidth": 1.6}
        if len(steps) <= 40:
            look |= {"marker": _MARKERS.get(split, "o"), "markersize": 3.2}
        ax.plot(steps, values, label=plain(split), **look)
    everything = np.concatenate([values for _, values in lines.values()])
    (_scale_accuracy if metric == "accuracy" else _scale_loss)(ax, everything)
    title(ax, plain(metric))
    safe(ax.set_xlabel(plain(x), fontsize=8, color=INK))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    paper = {"facecolor": PAPER, "edgecolor": "none", "framealpha": 0.85}
    drawn = ax.lines[-len(lines) :]  # named one by one: matplotlib skips names that begin with _
    legend = ax.legend(handles=drawn, fontsize=8, handlelength=2.6, labelcolor=INK, **paper)
    safe(*legend.get_texts())


def series(rows: Rows, metric: str, x: str = "epoch") -> dict[str, tuple[NDArray, NDArray]]:
    """Collects one line per split from the rows that hold the metric.

    Args:
        rows: As in :func:`curves`.
        metric: The part of the name after the slash.
        x: The name of the horizontal axis.

    Returns:
        ``{split: (x, values)}``, in the order in which the splits appear.

    Raises:
        ValueError: If no row holds the metric.

    Example:
        >>> from attn_jax.plot.curves import series
        >>> rows = [{"epoch": 1, "test/loss": 2.0}, {"epoch": 2, "test/loss": 1.5}]
        >>> epochs, losses = series(rows, "loss")["test"]
        >>> epochs.tolist(), losses.tolist()
        ([1.0, 2.0], [2.0, 1.5])
    """
    found: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        for name, value in row.items():
            split, slash, rest = name.rpartition("/")
            if slash and rest == metric and split != "time" and x in row and value is not None:
                found.setdefault(split, []).append((row[x], value))
    if not found:
        held = sorted({name for row in rows for name in row if "/" in name})
        raise ValueError(
            f"no row holds {metric!r} beside {x!r}; {len(rows)} rows hold: "
            f"{', '.join(held) or 'no metrics'}."
        )
    # The two rows of a transposed array of pairs, which its type does not tell.
    return {split: tuple(np.array(points, dtype=float).T) for split, points in found.items()}  # type: ignore[misc]


def _scale_loss(ax: Axes, values: NDArray) -> None:
    """Spaces by the logarithm what falls more than tenfold."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if low > 0 and high > 10 * low:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_locator(NullLocator())


def _scale_accuracy(ax: Axes, values: NDArray) -> None:
    """Labels in percent; spaces accuracies that become high by the logarithm of the error."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if low >= 0 and 0.8 <= high <= 1:
        errors = 1 - values[values < 1]
        scale = ErrorScale(max(float(errors.min(initial=1e-2)), 1e-5))
        ax.set_yscale("function", functions=(scale.place, scale.share))
        margin = 0.06 * float(scale.place(high) - scale.place(low)) + 0.02
        bottom, top = (
            float(scale.share(scale.place(end) + sign * margin))
            for end, sign in ((low, -1), (high, 1))
        )
        ax.set_ylim(bottom, top)
        shown = _apart([s for s in _SHARES if bottom <= s <= min(top, 1)], scale, bottom, top)
        if len(shown) >= 2:
            ax.yaxis.set_major_locator(FixedLocator(shown))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.4g} %"))


def _apart(shares: list[float], scale: "ErrorScale", bottom: float, top: float) -> list[float]:
    """Leaves out shares whose labels would overlap, the low ones first."""
    least = 0.05 * float(scale.place(top) - scale.place(bottom))
    kept: list[float] = []
    for share in reversed(shares):
        if not kept or float(scale.place(kept[-1]) - scale.place(share)) >= least:
            kept.append(share)
    return kept


class ErrorScale:
    """Places an accuracy at the logarithm of its error, and perfection at a finite distance.

    Below the least error the scale goes on straight, with the slope that it has there.

    Args:
        least: The least error that is placed by its logarithm.

    Example:
        >>> from attn_jax.plot.curves import ErrorScale
        >>> [round(float(ErrorScale(0.01).place(share)), 3) for share in (0.9, 0.99, 1.0)]
        [1.0, 2.0, 2.434]
    """

    def __init__(self, least: float):
        self.least = least

    def place(self, share: float | NDArray) -> NDArray:
        """Gives the place of a share."""
        error = 1 - np.asarray(share, float)
        log = -np.log10(np.maximum(error, self.least))
        return np.asarray(log + np.maximum(self.least - error, 0) / (self.least * np.log(10)))

    def share(self, place: float | NDArray) -> NDArray:
        """Gives the share at a place."""
        place = np.asarray(place, float)
        end = -np.log10(self.least)
        beyond = np.maximum(place - end, 0)
        return np.asarray(1 - 10.0 ** -np.minimum(place, end) + beyond * self.least * np.log(10))

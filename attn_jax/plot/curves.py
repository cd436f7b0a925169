"""Learning curves, from rows of metrics."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from attn_jax.plot.colors import INK, PAPER, RULE, SERIES, SPLITS
from attn_jax.plot.figure import Figure, plain, safe, style, title

_DASHES = {"train": "-", "validation": (0, (5, 1.5)), "test": (0, (1.2, 1.2))}
_MARKERS = {"train": "o", "validation": "s", "test": "D"}
_ACCURACIES = (0.1, 0.2, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 1.0)

Rows = Sequence[Mapping[str, Any]]


def curves(
    rows: Rows,
    metrics: Sequence[str] = ("loss", "accuracy"),
    *,
    x: str = "epoch",
    ax: Axes | None = None,
) -> MatplotlibFigure:
    """Draw one panel per metric, with one line per split.

    High accuracies are on a log scale of the error rate, so that the step from 98 to 99 % is as
    tall as the step from 96 to 98 %; other metrics that fall more than tenfold are on a log scale.

    Args:
        rows: Flat mappings as in `metrics.jsonl`: `{"epoch": 1, "train/loss": 0.3, …}`. A row
            may lack any metric.
        metrics: Metrics to draw: the part of the names after the slash.
        x: Name of the horizontal axis in the rows.
        ax: Axes to draw on, only with one metric; a new figure by default.

    Returns:
        The figure.

    Raises:
        ValueError: If no row has a metric, or there are several metrics for one `ax`.

    Example:
        >>> from attn_jax import plot
        >>> losses = [(2.1, 1.9), (1.0, 1.1), (0.6, 0.8), (0.4, 0.7)]
        >>> rows = [
        ...     {"epoch": epoch, "train/loss": train, "test/loss": test}
        ...     for epoch, (train, test) in enumerate(losses, 1)
        ... ]
        >>> figure = plot.curves(rows, ["loss"])
        >>> [line.get_label() for line in figure.axes[0].lines]
        ['train', 'test']
    """
    if ax is not None and len(metrics) != 1:
        raise ValueError(
            f"one ax takes one metric, but metrics={list(metrics)}; leave ax out to draw several."
        )
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
    for number, (split, (steps, values)) in enumerate(lines.items()):
        color = SPLITS.get(split, SERIES[number % len(SERIES)])
        look = {"color": color, "linestyle": _DASHES.get(split, "-"), "linewidth": 1.6}
        if len(steps) <= 40:
            look |= {"marker": _MARKERS.get(split, "o"), "markersize": 3.2}
        ax.plot(steps, values, label=plain(split), **look)
    everything = np.concatenate([values for _, values in lines.values()])
    (_scale_accuracy if metric == "accuracy" else _scale_loss)(ax, everything)
    title(ax, plain(metric))
    safe(ax.set_xlabel(plain(x), fontsize=8, color=INK))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    paper = {"facecolor": PAPER, "edgecolor": "none", "framealpha": 0.85}
    handles = ax.lines[-len(lines) :]  # explicit: matplotlib skips labels that begin with _
    legend = ax.legend(handles=handles, fontsize=8, handlelength=2.6, labelcolor=INK, **paper)
    safe(*legend.get_texts())


def series(rows: Rows, metric: str, x: str = "epoch") -> dict[str, tuple[NDArray, NDArray]]:
    """Collect one line per split from the rows that have the metric.

    Args:
        rows: As in `curves`.
        metric: Part of the name after the slash.
        x: Name of the horizontal axis.

    Returns:
        `{split: (x, values)}`, in the order in which the splits appear.

    Raises:
        ValueError: If no row has the metric.

    Example:
        >>> from attn_jax.plot.curves import series
        >>> rows = [{"epoch": 1, "test/loss": 2.0}, {"epoch": 2, "test/loss": 1.5}]
        >>> epochs, losses = series(rows, "loss")["test"]
        >>> epochs.tolist(), losses.tolist()
        ([1.0, 2.0], [2.0, 1.5])
    """
    points: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        for name, value in row.items():
            split, slash, rest = name.rpartition("/")
            if slash and rest == metric and split != "time" and x in row and value is not None:
                points.setdefault(split, []).append((row[x], value))
    if not points:
        names = sorted({name for row in rows for name in row if "/" in name})
        raise ValueError(
            f"no row has {metric!r} and {x!r}; the {len(rows)} rows have "
            f"{', '.join(names) or 'no metrics'}."
        )
    # A transposed array of pairs has two rows, which its type does not show.
    return {split: tuple(np.array(pairs, dtype=float).T) for split, pairs in points.items()}  # type: ignore[misc]


def _scale_loss(ax: Axes, values: NDArray) -> None:
    """Use a log scale for values that fall more than tenfold."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if low > 0 and high > 10 * low:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_locator(NullLocator())


def _scale_accuracy(ax: Axes, values: NDArray) -> None:
    """Label in percent; place high accuracies on a log scale of the error."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if low >= 0 and 0.8 <= high <= 1:
        errors = 1 - values[values < 1]
        scale = ErrorScale(max(float(errors.min(initial=1e-2)), 1e-5))
        ax.set_yscale("function", functions=(scale.position, scale.accuracy))
        margin = 0.06 * float(scale.position(high) - scale.position(low)) + 0.02
        bottom, top = (
            float(scale.accuracy(scale.position(end) + sign * margin))
            for end, sign in ((low, -1), (high, 1))
        )
        ax.set_ylim(bottom, top)
        ticks = _spread([s for s in _ACCURACIES if bottom <= s <= min(top, 1)], scale, bottom, top)
        if len(ticks) >= 2:
            ax.yaxis.set_major_locator(FixedLocator(ticks))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.4g} %"))


def _spread(shares: list[float], scale: "ErrorScale", bottom: float, top: float) -> list[float]:
    """Drop accuracies whose labels would overlap, the low ones first."""
    least = 0.05 * float(scale.position(top) - scale.position(bottom))
    spread: list[float] = []
    for share in reversed(shares):
        if not spread or float(scale.position(spread[-1]) - scale.position(share)) >= least:
            spread.append(share)
    return spread


class ErrorScale:
    """Scale that places an accuracy at the log of its error, and 100 % at a finite distance.

    Below the least error the scale continues as a straight line with the same slope.

    Args:
        least: Smallest error on the log scale.

    Example:
        >>> from attn_jax.plot.curves import ErrorScale
        >>> [round(float(ErrorScale(0.01).position(share)), 3) for share in (0.9, 0.99, 1.0)]
        [1.0, 2.0, 2.434]
    """

    def __init__(self, least: float):
        self.least = least

    def position(self, accuracy: float | NDArray) -> NDArray:
        """Return the position of an accuracy."""
        error = 1 - np.asarray(accuracy, float)
        log = -np.log10(np.maximum(error, self.least))
        return np.asarray(log + np.maximum(self.least - error, 0) / (self.least * np.log(10)))

    def accuracy(self, position: float | NDArray) -> NDArray:
        """Return the accuracy at a position."""
        position = np.asarray(position, float)
        end = -np.log10(self.least)
        beyond = np.maximum(position - end, 0)
        return np.asarray(1 - 10.0 ** -np.minimum(position, end) + beyond * self.least * np.log(10))

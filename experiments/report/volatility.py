"""Figures of volatility: forecasts over time, where they look, and who is better."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from attn_jax.plot.colors import MUTED, SERIES
from experiments.report.figures import Sheet, Table, save_sheet

_NAMES = {"attention": "attention", "har": "HAR", "log_har": "log-HAR", "garch": "GARCH(1,1)"}
_LOSSES = {"qlike": "QLIKE", "mse": "MSE"}
_HORIZONS = ("next day", "next month")
_YEAR = 252
_TICKS = (2, 5, 10, 20, 50, 100)


def save_volatility(
    run: Path, forecasts: Sequence[Any], compared: Sequence[Mapping[str, Any]]
) -> None:
    """Save the forecasts over time, the attention by age, and the comparison.

    Args:
        run: The run's folder.
        forecasts: The test forecasts of each market.
        compared: The differences between attention and the others.
    """
    caption = (
        "The volatility of the next month, in percent a year, as it came (gray) and as attention "
        "and HAR forecast it, on the test days of all folds."
    )
    figure = draw_forecasts(forecasts)
    save_sheet(run, Sheet("forecasts", "What it forecasts", caption, figure))
    caption = (
        "The mean weight of each past day in all test forecasts, by how many days ago it was. The "
        "dotted line is equal weights. Which days should be looked at is not known."
    )
    figure = draw_ages(forecasts)
    save_sheet(run, Sheet("ages", "How far back it looks", caption, figure))
    save_sheet(run, Sheet("comparison", "Is it better?", _caption(compared), _table(compared)))


def _caption(compared: Sequence[Mapping[str, Any]]) -> str:
    har = [each for each in compared if each["rival"] == "har"]
    better = sum(each["high"] < 0 for each in har)
    worse = sum(each["low"] > 0 for each in har)
    return (
        f"The loss of attention beside the others' on the test days of all folds. Of {len(har)} "
        f"comparisons with HAR, attention is better in {better}, worse in {worse}, and not "
        f"distinguishable in {len(har) - better - worse}: its interval, of 95 %, holds zero. p is "
        "that of the Diebold–Mariano test, not corrected for the number of comparisons."
    )


def _table(compared: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        (
            each["market"],
            each["horizon"],
            _LOSSES[each["loss"]],
            _NAMES[each["rival"]],
            f"{each['own_loss']:.4g}",
            f"{each['rival_loss']:.4g}",
            f"{each['mean']:+.1%} ({each['low']:+.1%} to {each['high']:+.1%})",
            f"{each['p']:.3f}",
        )
        for each in compared
    ]
    header = ("Market", "Next", "Loss", "Beside", "Attention", "Other", "Difference", "p")
    return Table(header, rows)


def draw_forecasts(forecasts: Sequence[Any]) -> Figure:
    """Draw the volatility of the next month over time, a panel for each market."""
    figure = Figure(figsize=(9, 2.6 * len(forecasts)), layout="constrained")
    axes = figure.subplots(len(forecasts), 1, squeeze=False, sharex=True)[:, 0]
    for ax, each in zip(axes, forecasts, strict=True):
        series = {
            "as it came": each.target,
            **{_NAMES[n]: each.by[n] for n in ("har", "attention")},
        }
        colors = (MUTED, SERIES[1], SERIES[0])
        for (name, values), color in zip(series.items(), colors, strict=True):
            percent = 100 * np.sqrt(_YEAR * values[:, 1])
            ax.plot(each.date, percent, color=color, linewidth=0.9, label=name)
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(FixedLocator(_TICKS))
        ax.yaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_formatter("{x:g}")
        ax.set_title(each.market, loc="left", fontsize=9)
        ax.set_ylabel("% a year")
    axes[0].legend(fontsize=8, frameon=False, ncols=3)
    return figure


def draw_ages(forecasts: Sequence[Any]) -> Figure:
    """Draw the mean weight of past days by age, a line for each market."""
    figure = Figure(figsize=(9, 2.8), layout="constrained")
    axes = figure.subplots(1, 2, squeeze=False, sharey=True)[0]
    for query, (ax, title) in enumerate(zip(axes, _HORIZONS, strict=True)):
        for each, color in zip(forecasts, SERIES, strict=False):
            weights = each.weights[:, query].mean(0)[::-1]
            ax.plot(np.arange(len(weights)), weights, color=color, label=each.market)
            ax.axhline(1 / len(weights), color=MUTED, linewidth=0.8, linestyle="dotted")
        ax.set_title(title, loc="left", fontsize=9)
        ax.set_xlabel("days before the last")
    axes[0].set_ylabel("mean weight")
    axes[0].legend(fontsize=8, frameon=False)
    return figure

"""The figure of the benchmark `attention`: time and temporaries against length, log–log."""

from collections.abc import Callable, Mapping

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from attn_jax.plot.colors import INK, RULE, SERIES
from attn_jax.plot.figure import Figure, style, title
from experiments.benchmarks.attention_cases import DRAWN, MIB, Case, heads
from experiments.benchmarks.attention_measure import Found
from experiments.benchmarks.record import spread

# The line of Flax lies on that of jax.nn; dashes show both.
_STYLES = ("o-", "D-", "s-", "v--", "^-", "P-")
Value = Callable[[int, dict], float | None]


def draw(timed: Mapping[int, Found]) -> Figure:
    """Draw the time of the forward and of the gradient call, and the temporaries of both in JAX.

    Args:
        timed: What was found at each length.

    Returns:
        The figure, of four panels.
    """
    figure = Figure((9.0, 6.4))
    panels = figure.subplots(2, 2, sharex=True)
    columns = {"forward": "Forward", "gradient": "Forward and backward"}
    for row, (what, value) in enumerate(
        {"milliseconds a head": _milliseconds, "temporaries a head, MiB": _temporaries}.items()
    ):
        for ax, (passes, name) in zip(panels[row], columns.items(), strict=True):
            _draw_panel(ax, timed, passes, value)
            title(ax, f"{name}: {what}")
    for ax in panels[1]:
        ax.set_xlabel("tokens", fontsize=8, color=INK)
    figure.legend(
        *panels[0, 0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=len(DRAWN),
        fontsize=8,
        labelcolor=INK,
        frameon=False,
    )
    return figure


def _milliseconds(tokens: int, about: dict) -> float | None:
    return 1e3 * spread(about["seconds"])["median"] / heads(tokens) if "seconds" in about else None


def _temporaries(tokens: int, about: dict) -> float | None:
    # An analysis of no bytes at all would have no place on a logarithmic axis.
    return about["temporaries"] / MIB / heads(tokens) if about.get("temporaries") else None


def _draw_panel(ax: Axes, timed: Mapping[int, Found], passes: str, value: Value) -> None:
    style(ax).set(xscale="log", yscale="log")
    ax.grid(color=RULE, linewidth=0.5)
    for contender, color, marker in zip(DRAWN, SERIES, _STYLES, strict=True):
        case = Case(contender, passes=passes)
        points = {tokens: value(tokens, found.get(case, {})) for tokens, found in timed.items()}
        measured = {tokens: y for tokens, y in points.items() if y is not None}
        (line,) = ax.plot([*measured], [*measured.values()], marker, color=color, label=contender)
        line.set(markersize=3.6, linewidth=1.6)
    ax.set_xticks(list(timed), [f"{tokens:,}" for tokens in timed], rotation=30)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.12g}"))

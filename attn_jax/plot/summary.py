"""What a summary tells of attention whose map was never stored: one, or one for each epoch."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from attn_jax.plot.checks import weights_array
from attn_jax.plot.colours import ATTENTION, INK, MUTED, RULE, SERIES, TRUTH
from attn_jax.plot.figure import Figure, plain, safe, style, title
from attn_jax.plot.overlay import colour_scale

# Field, title, horizontal axis.
_LINES = (
    ("received", "received mass", "key"),
    ("entropy", "entropy, nats", "query"),
    ("distance", "mean distance", "query"),
    ("max_logit", "largest score", "query"),
)
_PLURAL = {"key": "keys", "query": "queries"}
_MOST_CELLS = 256


def summary(summary: Any) -> MatplotlibFigure:
    """Draws what a summary holds: its map in tiles, and a line for each head of all else.

    Where tokens are many, the line is the mean of neighbours, in a band from the least to the most.

    Args:
        summary: Has any of the fields of an ``AttentionSummary``, of one example: ``pooled``
            ``(heads, tile rows, tile columns)``, ``received`` ``(heads, keys)``, ``entropy``,
            ``distance`` and ``max_logit`` ``(heads, queries)``. What is None is left out.

    Returns:
        The figure.

    Raises:
        ValueError: If a field has another rank, or there is none to draw.

    Example:
        >>> import types
        >>> from attn_jax import plot
        >>> of_two_heads = types.SimpleNamespace(received=[[2.0, 0.5, 0.5], [1.0, 1.0, 1.0]])
        >>> [line.get_label() for line in plot.summary(of_two_heads).axes[0].lines]
        ['head 0', 'head 1']
    """
    lines = [row for row in _LINES if getattr(summary, row[0], None) is not None]
    pooled = getattr(summary, "pooled", None)
    if pooled is None and not lines:
        names = ", ".join(["pooled", *(name for name, *_ in _LINES)])
        raise ValueError(f"the summary holds none of {names}; ask for one by ops.Summary(...).")
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
    # A few tiles on the diagonal or at a sink would leave the others without a colour.
    norm = Normalize(0.0, float(np.quantile(tiles, 0.999)) or float(tiles.max()) or 1.0)
    style(ax, frame=False)
    ax.imshow(tiles, cmap=ATTENTION, norm=norm, interpolation="nearest", aspect="equal")
    ax.spines[:].set_visible(True)
    title(ax, "mean weight of each tile")
    ax.set_xlabel("keys", fontsize=8, color=INK)
    ax.set_ylabel("queries", fontsize=8, color=INK)
    colour_scale(ax.figure.figure, ScalarMappable(norm, ATTENTION), beside=ax)


def _by_head(values: ArrayLike, name: str, axis: str) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or not array.size:
        raise ValueError(
            f"{name} has shape {array.shape}; one example, (heads, {_PLURAL[axis]}), is "
            "needed: jax.tree.map(lambda x: x[0], summary) takes the first."
        )
    return array


def _draw_lines(ax: Axes, values: NDArray, text: str, axis: str) -> None:
    style(ax)
    tokens = values.shape[1]
    edges = _cells(tokens)
    sizes = np.diff(edges, append=tokens)
    at = edges + (sizes - 1) / 2
    for head, line in enumerate(values):
        colour = SERIES[head % len(SERIES)]
        least, most = np.minimum.reduceat(line, edges), np.maximum.reduceat(line, edges)
        ax.fill_between(at, least, most, color=colour, alpha=0.25, linewidth=0)
        means = np.add.reduceat(line, edges) / sizes
        ax.plot(at, means, color=colour, linewidth=0.9, label=f"head {head}")
    ax.margins(x=0.01)
    title(ax, text, fontsize=8, pad=3)
    ax.set_xlabel(axis, fontsize=8, color=INK)
    if len(values) > 1:
        safe(*ax.legend(fontsize=7, labelcolor=INK, frameon=False).get_texts())


def _cells(tokens: int) -> NDArray[np.int_]:
    """Where each of the cells begins that so many tokens are drawn in."""
    cells = min(tokens, _MOST_CELLS)
    return np.arange(cells) * tokens // cells


def summaries(
    received: ArrayLike,
    *,
    entropy: ArrayLike | None = None,
    share: ArrayLike | None = None,
    epochs: ArrayLike | None = None,
    marks: ArrayLike = (),
) -> MatplotlibFigure:
    """Draws how attention changed over training: a strip for where its mass goes, and lines.

    Args:
        received: ``(epochs, keys)``: the mass of each key, in any unit; each row is drawn as the
            shares of its sum.
        entropy: ``(epochs,)`` mean entropy of the queries that matter, in nats, beside that of
            attention to all keys alike.
        share: ``(epochs,)`` mean weight of what was to be found, beside that of any key if all are
            alike.
        epochs: Labels of the rows, 1, 2, … by default.
        marks: Places of the keys that were to be found, marked above the strip.

    Returns:
        The figure.

    Raises:
        ValueError: If the masses are none, or the lengths do not agree.

    Example:
        >>> from attn_jax import plot
        >>> figure = plot.summaries([[1, 1, 1], [0, 3, 0]], share=[0.3, 0.9], marks=[1])
        >>> figure.axes[0].images[0].get_array().tolist()[1]
        [0.0, 1.0, 0.0]
    """
    mass = weights_array(received, ("epochs", "keys"), whole=False, name="received")
    rows, keys = mass.shape
    epochs = np.arange(1, rows + 1) if epochs is None else np.asarray(epochs)
    lines = {
        name: (text, np.asarray(values, float), uniform)
        for name, text, values, uniform in (
            ("share", "share of what was to be found", share, 1 / keys),
            ("entropy", "entropy, nats", entropy, float(np.log(keys))),
        )
        if values is not None
    }
    for name, size in [("epochs", epochs.size), *((n, lines[n][1].size) for n in lines)]:
        if size != rows:
            raise ValueError(f"{name} has {size} values, but received has {rows} rows.")
    heights = [1.6 + 0.12 * rows, 2.0][: 1 + bool(lines)]
    figure = Figure((7.2, sum(heights)))
    parts = figure.subfigures(1 + bool(lines), 1, squeeze=False, height_ratios=heights)[:, 0]
    _draw_strip(parts[0].subplots(), mass, epochs, np.asarray(marks))
    if lines:
        panels = parts[1].subplots(1, len(lines), squeeze=False)[0]
        for panel, (text, values, uniform) in zip(panels, lines.values(), strict=True):
            _draw_history(panel, epochs, values, text, uniform)
    return figure


def _draw_strip(ax: Axes, mass: NDArray, epochs: NDArray, marks: NDArray) -> None:
    shares = mass / np.maximum(mass.sum(1, keepdims=True), 1e-30)
    cells = np.add.reduceat(shares, _cells(mass.shape[1]), axis=1)
    norm = Normalize(0.0, float(cells.max()) or 1.0)
    extent = (-0.5, mass.shape[1] - 0.5, len(mass) - 0.5, -0.5)
    look = {"cmap": ATTENTION, "norm": norm, "extent": extent}
    ax.imshow(cells, interpolation="nearest", aspect="auto", **look)
    style(ax)
    ax.set_yticks(np.arange(len(mass)), [plain(f"{epoch:g}") for epoch in epochs], fontsize=7)
    ax.set_ylabel("epoch", fontsize=8, color=INK)
    ax.set_xlabel("key", fontsize=8, color=INK)
    title(ax, "where the mass goes", pad=9 if marks.size else 5)
    above = {"transform": ax.get_xaxis_transform(), "clip_on": False}
    ax.plot(marks, np.full(marks.shape, 1.04), "v", color=TRUTH, markersize=3.5, **above)
    colour_scale(ax.figure.figure, ScalarMappable(norm, ATTENTION), beside=ax)


def _draw_history(ax: Axes, epochs: NDArray, values: NDArray, text: str, uniform: float) -> None:
    style(ax)
    ax.grid(axis="y", color=RULE, linewidth=0.5)
    ax.plot(epochs, values, color=SERIES[0], marker="o", markersize=3.2, linewidth=1.6)
    ax.axhline(uniform, color=INK, linewidth=0.8, linestyle=(0, (4, 2)))
    note = {"fontsize": 7, "color": MUTED, "ha": "right", "va": "bottom"}
    ax.annotate("uniform", (0.99, uniform), xycoords=("axes fraction", "data"), **note)
    ax.set_ylim(bottom=0)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    title(ax, text)
    ax.set_xlabel("epoch", fontsize=8, color=INK)

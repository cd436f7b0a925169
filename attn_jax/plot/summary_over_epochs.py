"""Summaries of one sequence, epoch by epoch."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from attn_jax.plot.arrays import as_array
from attn_jax.plot.checks import weights_array
from attn_jax.plot.colors import ATTENTION, INK, MUTED, RULE, SERIES, TRUTH
from attn_jax.plot.figure import Figure, plain, style, title
from attn_jax.plot.overlay import color_bar
from attn_jax.plot.summary import cell_edges

_MAX_LABELS = 24


def summaries(
    received: ArrayLike,
    *,
    entropy: ArrayLike | None = None,
    share: ArrayLike | None = None,
    epochs: ArrayLike | None = None,
    marks: ArrayLike = (),
) -> MatplotlibFigure:
    """Draw how attention changes over training: the mass of each key, and lines of statistics.

    Args:
        received: `(epochs, keys)`: the mass of each key, in any unit; each row is drawn as
            fractions of its sum.
        entropy: `(epochs,)` mean entropy in nats, drawn with that of uniform attention.
        share: `(epochs,)` mean weight of the right keys, drawn with that of uniform attention.
        epochs: Labels of the rows; 1, 2, … by default.
        marks: Indices of the right keys, marked above the strip.

    Returns:
        The figure.

    Raises:
        ValueError: If the masses are not valid, or the lengths do not agree.

    Example:
        >>> from attn_jax import plot
        >>> received = [[1, 1, 1, 1], [1, 2, 1, 0], [0, 3, 1, 0], [0, 4, 0, 0]]
        >>> figure = plot.summaries(received, share=[0.25, 0.5, 0.75, 1.0], marks=[1])
        >>> figure.axes[0].images[0].get_array().tolist()[3]
        [0.0, 1.0, 0.0, 0.0]
    """
    mass = weights_array(received, ("epochs", "keys"), whole=False, name="received")
    rows, keys = mass.shape
    epochs = np.arange(1, rows + 1) if epochs is None else np.asarray(epochs)
    lines = {
        name: (text, as_array(values, name).astype(float), uniform)
        for name, text, values, uniform in (
            ("share", "weight of the right keys", share, 1 / keys),
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
    fractions = mass / np.maximum(mass.sum(1, keepdims=True), 1e-30)
    cells = np.add.reduceat(fractions, cell_edges(mass.shape[1]), axis=1)
    norm = Normalize(0.0, float(cells.max()) or 1.0)
    extent = (-0.5, mass.shape[1] - 0.5, len(mass) - 0.5, -0.5)
    look = {"cmap": ATTENTION, "norm": norm, "extent": extent}
    ax.imshow(cells, interpolation="nearest", aspect="auto", **look)
    style(ax)
    labeled = np.arange(0, len(mass), -(-len(mass) // _MAX_LABELS))
    ax.set_yticks(labeled, [plain(f"{epochs[row]:g}") for row in labeled], fontsize=7)
    ax.set_ylabel("epoch", fontsize=8, color=INK)
    ax.set_xlabel("key", fontsize=8, color=INK)
    title(ax, "received mass", pad=14 if marks.size else 5)
    if marks.size:  # the layout engine fails on a line without points
        above = {"transform": ax.get_xaxis_transform(), "clip_on": False}
        ax.plot(marks, np.full(marks.shape, 1.04), "v", color=TRUTH, markersize=3.5, **above)
    color_bar(ax.figure.figure, ScalarMappable(norm, ATTENTION), beside=ax)


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

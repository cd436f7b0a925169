"""Figures of driving: roads from above, each car in the color of its attention."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from attn_jax.plot.colors import ATTENTION, INK, MUTED, RIGHT, RULE, TRUTH, WRONG
from experiments.report.figures import Sheet, Table, save_sheet

_CHANGES = ("stay", "left", "right")
_ASKED = ("acceleration", "lane")
_LENGTHS = (5.0, 12.0)
_WIDTH = 0.5
_ROWS = (
    ("Variance of the acceleration explained, without its noise", "r2"),
    ("Lanes predicted", "accuracy"),
    ("Lane changes predicted", "changes_found"),
    ("One car decides the acceleration: it has the highest weight", "leader"),
    ("The same of the nearest car ahead in any lane", "nearest_ahead"),
    ("Of as many top cars as matter to the lane, the share that does", "lane_precision"),
    ("The same of the nearest cars", "nearest_precision"),
)


def save_driving(
    run: Path,
    scenes: Mapping[str, np.ndarray],
    driven: Any,
    count: int,
    lanes: int,
    scores: Mapping[str, float],
) -> None:
    """Save the drawing of some scenes, a scatter of accelerations, and the scores.

    Args:
        run: The run's folder.
        scenes: Prepared test scenes.
        driven: What the model says of them.
        count: The number of scenes to draw.
        lanes: The number of lanes.
        scores: The scores of all scenes.
    """
    changes = np.flatnonzero(scenes["change"] > 0)[: count // 2]
    stays = np.flatnonzero((scenes["change"] == 0) & scenes["reacted"][:, 0].any(-1))
    chosen = [*changes, *stays[: count - len(changes)]]
    caption = (
        "Test scenes from above, traffic to the right; the driver's car is blue. On the left the "
        "attention for the acceleration, on the right that for the lane: the darker, the more. The "
        "cars to which the driver reacted are framed in green. Training saw neither."
    )
    figure = draw_scenes(scenes, driven, chosen, lanes)
    save_sheet(run, Sheet("scenes", "Which cars it looks at", caption, figure))
    caption = (
        "The acceleration of test drivers in m/s², predicted and true, without its noise. A point "
        "is a scene; those on the line are predicted exactly."
    )
    figure = draw_accelerations(scenes["driven"], driven.acceleration)
    save_sheet(run, Sheet("accelerations", "How it accelerates", caption, figure))
    rows = [(title, f"{scores[name]:.3f}") for title, name in _ROWS]
    caption = (
        "All test scenes. The nearest car ahead in the driver's own lane is the leader by "
        "definition; the model has to find out which one that is."
    )
    save_sheet(run, Sheet("scores", "How well it does", caption, Table(("Score", "Test"), rows)))


def draw_scenes(
    scenes: Mapping[str, np.ndarray], driven: Any, chosen: list[int], lanes: int
) -> Figure:
    """Draw a row for each scene, with the attention of either query."""
    figure = Figure(figsize=(10, 0.35 + len(chosen) * (0.35 + 0.24 * lanes)), layout="constrained")
    axes = figure.subplots(len(chosen), 2, squeeze=False)
    for row, number in zip(axes, chosen, strict=True):
        predicted = int(driven.change[number].argmax())
        real = int(scenes["change"][number])
        titles = (
            f"{driven.acceleration[number]:+.2f} m/s², true {scenes['driven'][number]:+.2f}",
            f"{_CHANGES[predicted]}, true {_CHANGES[real]}",
        )
        for query, cell in enumerate(row):
            _draw_road(cell, scenes, number, driven.weights[number, query], query, lanes)
            color = WRONG if query and predicted != real else INK
            text = f"{_ASKED[query]}: {titles[query]}"
            cell.set_title(text, fontsize=7.5, color=color, loc="left", pad=2)
    return figure


def _draw_road(
    ax: Axes,
    scenes: Mapping[str, np.ndarray],
    number: int,
    weights: np.ndarray,
    query: int,
    lanes: int,
) -> None:
    for edge in range(lanes + 1):
        is_border = edge in (0, lanes)
        style = "solid" if is_border else (0, (6, 6))
        ax.axhline(edge - 0.5, color=MUTED if is_border else RULE, linewidth=0.8, linestyle=style)
    own = scenes["place"][number, 0]
    for car in np.flatnonzero(scenes["exists"][number]):
        length = _LENGTHS[int(scenes["truck"][number, car])]
        place, lane = scenes["place"][number, car] - own, scenes["lane"][number, car]
        is_true = bool(scenes["reacted"][number, query, car])
        patch = Rectangle(
            (place - length / 2, lane - _WIDTH / 2),
            length,
            _WIDTH,
            facecolor=RIGHT if car == 0 else ATTENTION(float(weights[car - 1])),
            edgecolor=TRUTH if is_true else MUTED,
            linewidth=1.8 if is_true else 0.5,
            zorder=2,
        )
        ax.add_patch(patch)
    ax.set(xlim=(-155, 155), ylim=(lanes - 0.4, -0.6), xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def draw_accelerations(driven: np.ndarray, predicted: np.ndarray) -> Figure:
    """Draw predicted accelerations against true ones."""
    figure = Figure(figsize=(4.2, 4.2), layout="constrained")
    ax = figure.subplots()
    low, high = np.quantile(driven, 0.002), float(driven.max())
    ends = (float(low) - 0.1, high + 0.1)
    ax.plot(ends, ends, color=MUTED, linewidth=0.8)
    ax.scatter(driven, predicted, s=4, color=RIGHT, alpha=0.35, linewidths=0)
    ax.set(xlim=ends, ylim=ends, xlabel="true", ylabel="predicted")
    return figure

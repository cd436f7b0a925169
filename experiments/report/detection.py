"""Figures of detection: the boxes found, and where the query of each one looked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from attn_jax import plot
from attn_jax.plot.colors import INK, MUTED, SERIES, TRUTH, WRONG
from attn_jax.plot.overlay import draw_overlay
from experiments.report.figure_words import viewer_label
from experiments.report.figures import Sheet, Table, save_sheet

_SURE = 0.5
_QUERIES = tuple(color for color in SERIES if color != TRUTH)


def save_detections(
    run: Path,
    batch: Mapping[str, np.ndarray],
    detected: Any,
    grid: tuple[int, int],
    last: Mapping[str, Any],
) -> None:
    """Save the drawing of some canvases, and average precision by area and by count.

    Args:
        run: The run's folder.
        batch: Prepared canvases: `image`, `box` and `label`.
        detected: What the model found on them.
        grid: The rows and columns of the tokens.
        last: The run's last row of metrics.
    """
    caption = (
        "Test canvases. Above, the true boxes (green) and those found with a probability of at "
        "least one half (dashed, each with its class); a query's attention is below, in the color "
        "of its box: cells with more than twice the mean weight, the darker the more."
    )
    figure = draw_detections(batch, detected, grid)
    save_sheet(run, Sheet("detections", "What it found", caption, figure))
    caption = (
        "The attention of each object's query, the mean over the heads of the last layer, over the "
        "fullest of these canvases. The true box of the object is green."
    )
    if "attention/pointing" in last:
        caption += (
            f" In all test canvases {last['attention/pointing']:.1%} of the queries attend most to "
            f"a cell in their object's box, and {last['attention/mass']:.1%} of the weight lies in "
            f"it, beside {last['attention/area']:.1%} of the cells; "
            f"{last['attention/other_mass']:.1%} lies in the boxes of other objects."
        )
    looks = draw_looks(batch, detected, grid)
    save_sheet(run, Sheet("looks", "Where each query looks", caption, looks))
    if "test/ap50" in last:
        _save_precisions(run, last)


def save_viewer(
    run: Path,
    batch: Mapping[str, np.ndarray],
    detected: Any,
    heads: np.ndarray,
    grid: tuple[int, int],
) -> None:
    """Save an interactive page of the first canvas: each query, head by head.

    Args:
        run: The run's folder.
        batch: Prepared canvases.
        detected: What the model found on them.
        heads: The attention of each head over the first canvas, (h, q, k).
        grid: The rows and columns of the tokens.
    """
    found = detected.chance[0].argmax(-1)
    nothing = detected.chance.shape[-1] - 1
    names = ["nothing" if label == nothing else str(label) for label in found]
    viewer = plot.viewer(
        heads,
        queries=[viewer_label(f"query {number}: {name}") for number, name in enumerate(names)],
        images=1 - batch["image"][0],
        grid=grid,
        title=viewer_label("A test canvas"),
    )
    caption = "The first test canvas. Choose a query and a head, and point at a cell."
    save_sheet(run, Sheet("viewer", "Look around", caption, viewer))


def _save_precisions(run: Path, last: Mapping[str, Any]) -> None:
    groups = {"": "All", "_small": "Smallest third", "_medium": "Middle third"}
    groups["_large"] = "Largest third"
    groups |= {f"_of_{n}": f"{n} on the canvas" for n in range(1, 100) if f"test/ap_of_{n}" in last}
    rows = [
        (name, f"{last[f'test/ap50{end}']:.3f}", f"{last[f'test/ap{end}']:.3f}")
        for end, name in groups.items()
    ]
    caption = (
        "Average precision on the test canvases as COCO defines it: at an intersection over union "
        "of one half, and the mean from 0.50 to 0.95. By the area of the true box, and by the "
        "number of digits on the canvas."
    )
    table = Table(("Digits", "AP50", "AP"), rows)
    save_sheet(run, Sheet("precision", "How much it finds", caption, table))


def draw_detections(
    batch: Mapping[str, np.ndarray], detected: Any, grid: tuple[int, int]
) -> Figure:
    """Draw a column for each canvas: the boxes, and the cells that the queries look at."""
    columns = len(batch["image"])
    figure = Figure(figsize=(1.75 * columns, 3.7), layout="constrained")
    axes = figure.subplots(2, columns, squeeze=False)
    for column in range(columns):
        image, side = batch["image"][column], batch["image"].shape[-1]
        chance = detected.chance[column]
        sure = np.flatnonzero(chance[:, :-1].max(-1) >= _SURE)
        for row in range(2):
            _canvas(axes[row, column], image)
        for box, label in zip(batch["box"][column], batch["label"][column], strict=True):
            if label >= 0:
                _box(axes[0, column], box * side, TRUTH, "solid", 1.4)
        for number, query in enumerate(sure):
            color = _QUERIES[number % len(_QUERIES)]
            box, name = detected.box[column, query] * side, chance[query, :-1].argmax()
            text = {"fontsize": 7, "color": color, "va": "bottom", "ha": "left"}
            _box(axes[0, column], box, color, (0, (2.5, 1.5)), 1.2)
            axes[0, column].text(box[1] - 0.5, box[0] - 1.2, str(name), clip_on=False, **text)
            _cells(axes[1, column], detected.weights[column, query].reshape(grid), color, side)
            _box(axes[1, column], box, color, (0, (2.5, 1.5)), 0.8)
    axes[0, 0].set_ylabel("boxes", fontsize=8, color=INK)
    axes[1, 0].set_ylabel("attention", fontsize=8, color=INK)
    return figure


def draw_looks(
    batch: Mapping[str, np.ndarray], detected: Any, grid: tuple[int, int], most: int = 3
) -> Figure:
    """Draw a row for each of the fullest canvases, with the attention of each object's query."""
    chosen = np.argsort(-(batch["label"] >= 0).sum(-1), kind="stable")[:most]
    rows, columns = len(chosen), batch["label"].shape[1]
    figure = Figure(figsize=(1.6 * columns, 1.75 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for row, number in enumerate(chosen):
        for column in range(columns):
            cell, label = axes[row, column], int(batch["label"][number, column])
            if label < 0:
                cell.set_visible(False)
                continue
            query = detected.match[number, column]
            cells = detected.weights[number, query].reshape(grid)
            image = batch["image"][number]
            draw_overlay(cell, image, cells, Normalize(0, cells.max()), negative=True)
            _box(cell, batch["box"][number, column] * len(image), TRUTH, "solid", 1.4)
            found = int(detected.chance[number, query].argmax())
            nothing = found == detected.chance.shape[-1] - 1
            color = INK if found == label else WRONG
            name = "missed" if nothing else f"found {found}"
            cell.set_title(f"{label}: {name}", fontsize=8, color=color, pad=3)
    return figure


def _canvas(axes: Axes, image: np.ndarray) -> None:
    axes.imshow(1 - 0.75 * image, cmap="gray", vmin=0, vmax=1)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(color=MUTED, linewidth=0.6)


def _box(axes: Axes, box: np.ndarray, color: str, line: Any, width: float) -> None:
    top, left, bottom, right = box - 0.5
    axes.add_patch(
        Rectangle(
            (left, top),
            right - left,
            bottom - top,
            fill=False,
            edgecolor=color,
            linestyle=line,
            linewidth=width,
        )
    )


def _cells(axes: Axes, cells: np.ndarray, color: str, side: int) -> None:
    """Fill the cells with more than twice the mean weight."""
    height, width = (side / count for count in cells.shape)
    for i, j in np.argwhere(cells > 2 * cells.mean()):
        alpha = float(0.15 + 0.7 * cells[i, j] / cells.max())
        corner = (j * width - 0.5, i * height - 0.5)
        patch = Rectangle(corner, width, height, color=color, alpha=alpha, linewidth=0)
        axes.add_patch(patch)

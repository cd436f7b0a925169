"""Figures of segmentation: the mask, what the model marked, and its gates."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from attn_jax import plot
from attn_jax.plot.colors import ATTENTION, INK, MUTED, TRUTH, WRONG
from experiments.report.figure_words import viewer_label
from experiments.report.figures import Sheet, Table, save_sheet

_PARTS = {
    "target": "On the object",
    "other_digit": "On other digits",
    "clutter": "On clutter",
    "background": "On background",
}


def save_segments(
    run: Path, image: np.ndarray, part: np.ndarray, segmented: Any, last: Mapping[str, Any]
) -> None:
    """Save the drawing of some images, and the scores of the gates.

    Args:
        run: The run's folder.
        image: The images in [0, 1], (n, height, width).
        part: What each pixel belongs to, 1 for the object, (n, height, width).
        segmented: The logits and gates of these images.
        last: The run's last row of metrics.
    """
    gates = {name.removesuffix(".gate"): gate for name, gate in segmented.gates.items()}
    caption = (
        "Test images. A line outlines the object (green), and what the model marked (orange, "
        "dashed)."
    )
    if "test/dice" in last:
        caption += f" Dice over the test images is {last['test/dice']:.3f}."
    if gates:
        caption += (
            " Below, how far each gate is open at each cell of its grid, from 0, closed, to 1; the "
            "green line is the same."
        )
    figure = draw_segments(image, part == 1, segmented.logits > 0, gates)
    save_sheet(run, Sheet("segments", "What it marked, and where its gates open", caption, figure))
    scored = {name: gate for name, gate in gates.items() if f"{name}/pointing" in last}
    if scored:
        _save_scores(run, scored, last)


def save_viewer(run: Path, image: np.ndarray, gate: np.ndarray) -> None:
    """Save an interactive page of one image and its coarsest gate.

    Args:
        run: The run's folder.
        image: The image in [0, 1], (height, width).
        gate: The gate, (h, w).
    """
    viewer = plot.viewer(
        gate.reshape(1, -1),
        queries=["how far it is open"],
        images=1 - image,
        grid=gate.shape,
        normalized=False,
        title=viewer_label("A test image and its coarsest gate"),
    )
    caption = "The coarsest gate over the first image. Point at a cell."
    save_sheet(run, Sheet("viewer", "Look around", caption, viewer))


def _save_scores(run: Path, gates: Mapping[str, np.ndarray], last: Mapping[str, Any]) -> None:
    header = ("Gate", "Cells", "Pointing game", "IoU, as many cells", "IoU, half open")
    header += ("AUC", "AUC, ink alone", *_PARTS.values())
    names = ("pointing", "iou_top", "iou", "auc", "auc_ink", *_PARTS)
    rows = [
        (
            name,
            f"{gate.shape[1]} × {gate.shape[2]}",
            *(f"{last[f'{name}/{n}']:.3f}" if f"{name}/{n}" in last else "–" for n in names),
        )
        for name, gate in gates.items()
    ]
    (name, *_) = gates
    caption = (
        "Pointing game: how often the gate is widest open on the object. IoU: of as many of the "
        "most open cells as the object has, and of the cells open by half or more. AUC: of cells "
        "with the object against all others, and against those of other digits and clutter alone; "
        "0.5 is chance. Then the gate's mean opening. "
        f"The object has {last[f'{name}/chance']:.1%} of the cells of {name}, which is the chance "
        f"in the pointing game. With all gates open, Dice is {last['open/dice']:.3f}, and with "
        f"each gate equal at all positions {last['even/dice']:.3f}, instead of "
        f"{last['test/dice']:.3f}."
    )
    save_sheet(
        run, Sheet("gates", "Do the gates open on the object?", caption, Table(header, rows))
    )


def draw_segments(
    image: np.ndarray, mask: np.ndarray, marked: np.ndarray, gates: Mapping[str, np.ndarray]
) -> Figure:
    """Draw a column for each image: itself with the masks, and each gate with the true mask.

    Args:
        image: The images in [0, 1], (n, height, width).
        mask: True for the pixels of the object.
        marked: True for the pixels that the model marked.
        gates: Each gate by name, (n, h, w).

    Returns:
        The figure.
    """
    rows, columns = 1 + len(gates), len(image)
    side = 1.45
    figure = Figure(figsize=(side * columns + 0.9, side * rows + 0.1), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for column in range(columns):
        top = axes[0, column]
        _frame(top)
        top.imshow(1 - 0.75 * image[column], cmap="gray", vmin=0, vmax=1)
        _outline(top, mask[column], TRUTH, "solid")
        _outline(top, marked[column], WRONG, (0, (2, 1.2)))
        for row, (name, gate) in enumerate(gates.items(), 1):
            cell = axes[row, column]
            _frame(cell)
            height, width = mask.shape[1:]
            extent = (-0.5, width - 0.5, height - 0.5, -0.5)
            cell.imshow(gate[column], cmap=ATTENTION, vmin=0, vmax=1, extent=extent)
            _outline(cell, mask[column], TRUTH, "solid")
            if column == 0:
                label = f"{name}\n{gate.shape[1]} × {gate.shape[2]}"
                cell.set_ylabel(label, fontsize=8, color=INK)
    axes[0, 0].set_ylabel("image", fontsize=8, color=INK)
    if gates:
        scale = ScalarMappable(Normalize(0, 1), ATTENTION)
        bar = figure.colorbar(scale, ax=axes[1:, :], fraction=0.03, aspect=24, pad=0.01)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=8, labelcolor=INK, length=2, color=INK)
        bar.set_label("gate", fontsize=8, color=INK)
    return figure


def _frame(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(color=MUTED, linewidth=0.6)


def _outline(axes: Axes, mask: np.ndarray, color: str, line: Any) -> None:
    """Draw the border of a mask along the edges of its pixels."""
    padded = np.pad(mask, 1).repeat(8, 0).repeat(8, 1)
    coordinates = (np.arange(len(padded)) + 0.5) / 8 - 1.5
    across = (np.arange(padded.shape[1]) + 0.5) / 8 - 1.5
    if mask.any():
        axes.contour(
            across,
            coordinates,
            padded,
            levels=[0.5],
            colors=color,
            linestyles=[line],
            linewidths=1.1,
        )
    height, width = mask.shape
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))

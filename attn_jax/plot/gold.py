"""Known links, outlined on a map of weights."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike, NDArray

from attn_jax.plot.checks import boolean_cells
from attn_jax.plot.colors import INK, PAPER, TRUTH

# Smaller than a cell of size one, so that the outlines of neighbors do not touch.
_BOX = 0.41 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
_DASHES = {"sure": "solid", "possible": (0, (2.2, 1.4))}


def draw_gold(ax: Axes, shape: tuple[int, ...], **links: ArrayLike | None) -> None:
    """Outline the cells of `sure` links with a solid line, those of `possible` links dashed.

    Args:
        ax: Axes with one cell per weight.
        shape: Shape of the weights, `(queries, keys)`.
        **links: `sure` and `possible`, booleans of that shape. A link that is both is sure.

    Raises:
        ValueError: If their shape is not that of the weights.
    """
    cells = {
        name: boolean_cells(marks, shape, name)
        for name, marks in links.items()
        if marks is not None
    }
    if "sure" in cells and "possible" in cells:
        cells["possible"] = cells["possible"] & ~cells["sure"]
    for name, linked in cells.items():
        if linked.any():
            ax.add_collection(_outline(linked, name), autolim=False)


def _outline(linked: NDArray[np.bool_], name: str) -> PolyCollection:
    centers = np.argwhere(linked)[:, None, ::-1]
    # White around the line separates it from a cell of any color.
    casing = [withStroke(linewidth=2.2, foreground=PAPER)]
    line = {"edgecolor": TRUTH, "linewidth": 1.2, "linestyle": _DASHES[name], "joinstyle": "miter"}
    box = PolyCollection(list(centers + _BOX), facecolor="none", path_effects=casing, **line)
    box.set_label(f"{name} link")
    return box


def explain(ax: Axes) -> None:
    """Write a legend of the marks below the axes, if there are any."""
    handles, _ = ax.get_legend_handles_labels()
    if handles:
        place = {"loc": "upper right", "bbox_to_anchor": (1, -0.02), "borderaxespad": 0.0}
        look = {"fontsize": 7, "labelcolor": INK, "frameon": False, "handlelength": 1.6}
        ax.legend(handles=handles, **place, **look)

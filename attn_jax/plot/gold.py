"""Links that are known to be right, outlined on a map of weights."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike, NDArray

from attn_jax.plot.checks import boolean_cells
from attn_jax.plot.colours import INK, PAPER, TRUTH

# Within a cell of size one: neighbours' outlines do not touch.
_BOX = 0.41 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
_DASHES = {"sure": "solid", "possible": (0, (2.2, 1.4))}


def draw_gold(ax: Axes, shape: tuple[int, ...], **links: ArrayLike | None) -> None:
    """Outlines the cells of ``sure`` links by a solid line, and of ``possible`` ones by a dashed.

    Args:
        ax: Axes with one cell per weight.
        shape: That of the weights, ``(queries, keys)``.
        **links: ``sure`` and ``possible``, booleans of that shape. A link that is both is sure.

    Raises:
        ValueError: If they have another shape.
    """
    cells = {
        name: boolean_cells(given, shape, name)
        for name, given in links.items()
        if given is not None
    }
    if "sure" in cells and "possible" in cells:
        cells["possible"] = cells["possible"] & ~cells["sure"]
    for name, linked in cells.items():
        if linked.any():
            ax.add_collection(_outline(linked, name), autolim=False)


def _outline(linked: NDArray[np.bool_], name: str) -> PolyCollection:
    centres = np.argwhere(linked)[:, None, ::-1]
    # The paper around the line keeps it apart from a cell of any colour.
    casing = [withStroke(linewidth=2.2, foreground=PAPER)]
    line = {"edgecolor": TRUTH, "linewidth": 1.2, "linestyle": _DASHES[name], "joinstyle": "miter"}
    box = PolyCollection(list(centres + _BOX), facecolor="none", path_effects=casing, **line)
    box.set_label(f"{name} link")
    return box


def explain(ax: Axes) -> None:
    """Writes what the marks on the axes mean, below them; nothing where there are none."""
    handles, _ = ax.get_legend_handles_labels()
    if handles:
        place = {"loc": "upper right", "bbox_to_anchor": (1, -0.02), "borderaxespad": 0.0}
        look = {"fontsize": 7, "labelcolor": INK, "frameon": False, "handlelength": 1.6}
        ax.legend(handles=handles, **place, **look)

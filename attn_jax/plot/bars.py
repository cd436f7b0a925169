"""The weights of one query as bars."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from attn_jax.plot.checks import weights_array
from attn_jax.plot.colors import ATTENTION, INK
from attn_jax.plot.figure import canvas, safe, style, tick_labels

_BAR = ATTENTION(0.55)


def bars(
    weights: ArrayLike,
    *,
    keys: Sequence[object] | None = None,
    uniform: bool = True,
    normalized: bool = True,
    ax: Axes | None = None,
) -> Figure:
    """Draw how one query distributes its attention over the keys.

    Args:
        weights: `(keys,)`.
        keys: Labels of the bars.
        uniform: Whether to draw a dashed line at the weight of uniform attention.
        normalized: Whether the weights must sum to one.
        ax: Axes to draw on; a new figure by default.

    Returns:
        The figure.

    Raises:
        ValueError: If the weights are not valid, or the labels do not fit them.

    Example:
        >>> from attn_jax import plot
        >>> words = ["the", "animal", "was", "too", "tired"]
        >>> figure = plot.bars([0.05, 0.6, 0.05, 0.1, 0.2], keys=words)
        >>> [float(bar.get_height()) for bar in figure.axes[0].patches]
        [0.05, 0.6, 0.05, 0.1, 0.2]
    """
    weights = weights_array(weights, ("keys",), whole=normalized)
    if keys is not None and len(keys) != weights.size:
        raise ValueError(f"keys has {len(keys)} labels, but there are {weights.size} weights.")
    figure, axes = canvas(ax, (float(np.clip(0.34 * weights.size, 2.4, 7.0)) + 0.8, 2.4))
    style(axes)
    axes.bar(np.arange(weights.size), weights, width=0.78, color=_BAR)
    axes.margins(x=0.02)
    safe(axes.set_ylabel("attention weight", fontsize=8, color=INK))
    if uniform and normalized:
        axes.axhline(1 / weights.size, color=INK, linewidth=0.8, linestyle=(0, (4, 2)))
        note = {"fontsize": 7, "color": INK, "ha": "right", "va": "bottom"}
        axes.annotate("uniform", (1, 1 / weights.size), xycoords=("axes fraction", "data"), **note)
    if keys is not None:
        turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
        tick_labels(axes, "x", keys, **turned)
    return figure

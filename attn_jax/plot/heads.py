"""All heads at once: a grid of maps, or the same images once per head."""

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from attn_jax.plot.arrays import as_array
from attn_jax.plot.checks import check_grid, weights_array
from attn_jax.plot.colours import ATTENTION, INK
from attn_jax.plot.figure import style, tiles, title
from attn_jax.plot.heatmap import draw_heatmap, hide
from attn_jax.plot.image_grid import check_lengths
from attn_jax.plot.images import grey_image, read_images
from attn_jax.plot.overlay import attention_scale, colour_scale, draw_overlay, square_grid


def heads(
    weights: ArrayLike,
    *,
    mask: ArrayLike | None = None,
    vmax: float | None = None,
    normalized: bool = True,
) -> Figure:
    """Draws layers down, heads across, each as a small map on one colour scale.

    Args:
        weights: ``(layers, heads, queries, keys)``, or ``(heads, queries, keys)`` for one layer.
        mask: ``(queries, keys)`` booleans, True where attention is allowed; the rest is grey.
        vmax: The weight that gets the darkest colour; the largest one by default.
        normalized: Whether each row must sum to one (or be all zero).

    Returns:
        The figure.

    Raises:
        ValueError: If the weights are none or of another rank, or the mask is of another shape.

    Example:
        >>> import numpy as np
        >>> from attn_jax import plot
        >>> len(plot.heads(np.full((2, 3, 5, 5), 1 / 5)).axes)  # six maps and the scale
        7
    """
    array = as_array(weights)
    array = array[None] if array.ndim == 3 else array
    array = weights_array(array, ("layers", "heads", "queries", "keys"), whole=normalized)
    shown = hide(array, mask)
    layers, count = array.shape[:2]
    left = 0.3 if layers > 1 else 0.06
    figure, axes, scale = tiles(layers, count, aspect=array.shape[2] / array.shape[3], left=left)
    norm = Normalize(0.0, vmax or float(array.max()) or 1.0)
    for (layer, head), ax in np.ndenumerate(axes):
        draw_heatmap(ax, shown[layer, head], norm)
        if layer == 0:
            title(ax, f"head {head}", fontsize=8)
        if head == 0 and layers > 1:
            ax.set_ylabel(f"layer {layer}", fontsize=8, color=INK)
    colour_scale(figure, ScalarMappable(norm, ATTENTION), at=scale)
    return figure


def image_heads(
    images: ArrayLike,
    weights: ArrayLike,
    grid: tuple[int, int] | None = None,
    *,
    interpolation: str = "nearest",
    negative: bool = False,
) -> Figure:
    """Draws the images side by side, and below them the attention of each head over them.

    Args:
        images: ``(n, height, width)`` or ``(n, height, width, 1 or 3)``.
        weights: ``(n, heads, tokens)``.
        grid: Rows and columns of patches; a square by default.
        interpolation: As in :func:`overlay`.
        negative: As in :func:`overlay`.

    Returns:
        The figure.

    Raises:
        ValueError: If images and weights differ in length, or as :func:`overlay`.

    Example:
        >>> import numpy as np
        >>> from attn_jax import plot
        >>> weights = np.full((3, 4, 49), 1 / 49)
        >>> len(plot.image_heads(np.zeros((3, 28, 28)), weights).axes)
        16
    """
    array = weights_array(weights, ("n", "heads", "tokens"))
    images = read_images(images)
    check_lengths(images=images, weights=array)
    grid = grid or square_grid(array.shape[-1])
    check_grid(array.shape[-1], grid, images.shape[1:])
    aspect = images.shape[1] / images.shape[2]
    figure, axes, scale = tiles(array.shape[1] + 1, len(images), aspect=aspect, left=0.3)
    norm = Normalize(0.0, float(array.max()) or 1.0)
    look = {"interpolation": interpolation, "negative": negative}
    for ax, image in zip(axes[0], images, strict=True):
        grey = grey_image(image)
        shade = 1 - grey if negative else grey
        style(ax, frame=False).imshow(shade, cmap="gray", vmin=0, vmax=1)
    for head, row in enumerate(axes[1:]):
        row[0].set_ylabel(f"head {head}", fontsize=8, color=INK)
        for ax, image, cells in zip(row, images, array[:, head], strict=True):
            draw_overlay(ax, grey_image(image), cells.reshape(grid), norm, **look)
    attention_scale(figure, norm, at=scale)
    return figure

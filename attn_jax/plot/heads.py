"""All heads at once: a grid of maps, or the same images once per head."""

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from attn_jax.plot.arrays import as_array
from attn_jax.plot.checks import check_grid, weights_array
from attn_jax.plot.colors import ATTENTION, INK
from attn_jax.plot.figure import style, tiles, title
from attn_jax.plot.heatmap import draw_heatmap, hide
from attn_jax.plot.image_grid import check_lengths
from attn_jax.plot.images import read_images, shown_image
from attn_jax.plot.overlay import attention_color_bar, color_bar, draw_overlay, square_grid


def heads(
    weights: ArrayLike,
    *,
    mask: ArrayLike | None = None,
    vmax: float | None = None,
    normalized: bool = True,
) -> Figure:
    """Draw small maps on one color scale, a row for each layer and a column for each head.

    Args:
        weights: `(layers, heads, queries, keys)`, or `(heads, queries, keys)` for one layer.
        mask: `(queries, keys)` booleans, True where attention is allowed; other cells are gray.
        vmax: Weight shown in the darkest color; the largest weight by default.
        normalized: Whether each row must sum to one (or be all zero).

    Returns:
        The figure.

    Raises:
        ValueError: If the weights are not valid or have another rank, or the mask another shape.

    Example:
        >>> import numpy as np
        >>> from attn_jax import plot
        >>> places = np.arange(8)
        >>> back = places[:, None] - places - np.arange(6).reshape(2, 3, 1, 1)
        >>> scores = np.exp(-(back**2) / 0.5)  # each head looks further back
        >>> figure = plot.heads(scores / scores.sum(-1, keepdims=True))
        >>> len(figure.axes)  # six maps and the color bar
        7
    """
    array = as_array(weights)
    array = array[None] if array.ndim == 3 else array
    array = weights_array(array, ("layers", "heads", "queries", "keys"), whole=normalized)
    cells = hide(array, mask)
    layers, count = array.shape[:2]
    left = 0.3 if layers > 1 else 0.06
    figure, axes, scale = tiles(layers, count, aspect=array.shape[2] / array.shape[3], left=left)
    norm = Normalize(0.0, vmax or float(array.max()) or 1.0)
    for (layer, head), ax in np.ndenumerate(axes):
        draw_heatmap(ax, cells[layer, head], norm)
        if layer == 0:
            title(ax, f"head {head}", fontsize=8)
        if head == 0 and layers > 1:
            ax.set_ylabel(f"layer {layer}", fontsize=8, color=INK)
    color_bar(figure, ScalarMappable(norm, ATTENTION), cax=scale)
    return figure


def image_heads(
    images: ArrayLike,
    weights: ArrayLike,
    grid: tuple[int, int] | None = None,
    *,
    interpolation: str = "nearest",
    negative: bool = False,
) -> Figure:
    """Draw images side by side, and below them the attention of each head over them.

    Args:
        images: `(n, height, width)` or `(n, height, width, 1 or 3)`.
        weights: `(n, heads, tokens)`.
        grid: Rows and columns of patches; a square by default.
        interpolation: As in `overlay`.
        negative: As in `overlay`.

    Returns:
        The figure.

    Raises:
        ValueError: If images and weights differ in length, or as in `overlay`.

    Example:
        >>> import numpy as np
        >>> from attn_jax import plot
        >>> center = np.hypot(*np.mgrid[-1:1:28j, -1:1:28j])  # the distance from it
        >>> images = np.exp(-((center - np.array([0.2, 0.5, 0.8])[:, None, None]) ** 2) / 0.02)
        >>> cells = images.reshape(3, 7, 4, 7, 4).mean((2, 4)).reshape(3, 49)
        >>> heads = np.stack([cells**power for power in (0.5, 1, 2)], 1)
        >>> figure = plot.image_heads(images, heads / heads.sum(-1, keepdims=True))
        >>> len(figure.axes)
        13
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
        picture = shown_image(image)
        shade = 1 - picture if negative else picture
        style(ax, frame=False).imshow(shade, cmap="gray", vmin=0, vmax=1)
    for head, row in enumerate(axes[1:]):
        row[0].set_ylabel(f"head {head}", fontsize=8, color=INK)
        for ax, image, cells in zip(row, images, array[:, head], strict=True):
            draw_overlay(ax, shown_image(image), cells.reshape(grid), norm, **look)
    attention_color_bar(figure, norm, cax=scale)
    return figure

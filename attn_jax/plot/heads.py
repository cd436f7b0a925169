"""All heads at once: a grid of maps, or the same images once per head."""

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure as MatplotlibFigure
from numpy.typing import ArrayLike

from attn_jax.plot.checks import check_grid, grey_image, weights_array
from attn_jax.plot.colours import INK
from attn_jax.plot.figure import Figure, style, title
from attn_jax.plot.heatmap import draw_heatmap
from attn_jax.plot.image_grid import check_lengths
from attn_jax.plot.overlay import attention_scale, draw_overlay, square_grid


def heads(weights: ArrayLike, *, vmax: float | None = None) -> MatplotlibFigure:
    """Draws layers down, heads across, each as a small map on one colour scale.

    Args:
        weights: ``(layers, heads, queries, keys)``, or ``(heads, queries, keys)`` for one layer.
        vmax: The weight that gets the darkest colour; the largest one by default.

    Returns:
        The figure.

    Raises:
        ValueError: If the weights are none, or of another rank.

    Example:
        >>> import numpy as np
        >>> from attn_jax import plot
        >>> len(plot.heads(np.full((2, 3, 5, 5), 1 / 5)).axes)  # six maps and the scale
        7
    """
    array = np.asarray(weights)
    array = array[None] if array.ndim == 3 else array
    array = weights_array(array, ("layers", "heads", "queries", "keys"))
    layers, count = array.shape[:2]
    figure = Figure((1.15 * count + 0.9, 1.2 * layers + 0.3))
    axes = figure.subplots(layers, count, squeeze=False)
    norm = Normalize(0.0, vmax or float(array.max()) or 1.0)
    for (layer, head), ax in np.ndenumerate(axes):
        draw_heatmap(ax, array[layer, head], norm)
        if layer == 0:
            title(ax, f"head {head}", fontsize=8)
        if head == 0 and layers > 1:
            ax.set_ylabel(f"layer {layer}", fontsize=8, color=INK)
    attention_scale(figure, list(axes.flat), norm, opaque=True)
    return figure


def image_heads(
    images: ArrayLike,
    weights: ArrayLike,
    grid: tuple[int, int] | None = None,
    *,
    interpolation: str = "nearest",
    negative: bool = False,
) -> MatplotlibFigure:
    """Draws one row per image: the image, then the attention of each head over it.

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
    images = np.asarray(images)
    check_lengths(images=images, weights=array)
    grid = grid or square_grid(array.shape[-1])
    check_grid(array.shape[-1], grid, images.shape[1:])
    rows, count = array.shape[:2]
    figure = Figure((0.95 * (count + 1) + 0.7, 1.0 * rows + 0.3))
    axes = figure.subplots(rows, count + 1, squeeze=False)
    norm = Normalize(0.0, float(array.max()) or 1.0)
    look = {"interpolation": interpolation, "negative": negative}
    for row, image in enumerate(images):
        grey = grey_image(image)
        shade = 1 - grey if negative else grey
        style(axes[row, 0], frame=False).imshow(shade, cmap="gray", vmin=0, vmax=1)
        for head in range(count):
            cells = array[row, head].reshape(grid)
            draw_overlay(axes[row, head + 1], grey, cells, norm, **look)
    for head in range(count):
        title(axes[0, head + 1], f"head {head}", fontsize=8)
    attention_scale(figure, list(axes.flat), norm)
    return figure

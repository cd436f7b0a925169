"""Images with the attention over each, and the model's predictions."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from attn_jax.plot.checks import check_grid, weights_array
from attn_jax.plot.colors import INK, RIGHT, WRONG
from attn_jax.plot.figure import plain, style, tiles, title
from attn_jax.plot.images import read_images, shown_image
from attn_jax.plot.overlay import attention_color_bar, draw_overlay, square_grid


def image_grid(
    images: ArrayLike,
    weights: ArrayLike,
    grid: tuple[int, int] | None = None,
    *,
    labels: Sequence[object] | NDArray | None = None,
    predictions: Sequence[object] | NDArray | None = None,
    titles: Sequence[str] | None = None,
    columns: int = 8,
    interpolation: str = "nearest",
    negative: bool = False,
    names: Sequence[str] | None = None,
) -> Figure:
    """Draw each image with the attention over it, on one color scale, and its prediction.

    A right prediction has a tick; a wrong one has a cross, both labels and a thick dashed frame, so
    that they differ even without color.

    Args:
        images: `(n, height, width)` or `(n, height, width, 1 or 3)`.
        weights: `(n, tokens)`.
        grid: Rows and columns of patches; a square by default.
        labels: The n true classes; needs `predictions`.
        predictions: The n predicted classes; needs `labels`.
        titles: The n titles, instead of predictions.
        columns: Number of images in a row.
        interpolation: As in `overlay`.
        negative: As in `overlay`.
        names: Names of the classes, by index; the indices by default.

    Returns:
        The figure.

    Raises:
        ValueError: If the arrays differ in length, or as in `overlay`.

    Example:
        >>> import numpy as np
        >>> from attn_jax import plot
        >>> center = np.hypot(*np.mgrid[-1:1:28j, -1:1:28j])  # the distance from it
        >>> images = np.exp(-((center - np.array([0.2, 0.5, 0.8])[:, None, None]) ** 2) / 0.02)
        >>> cells = images.reshape(3, 7, 4, 7, 4).mean((2, 4)).reshape(3, 49)
        >>> weights = cells / cells.sum(-1, keepdims=True)
        >>> figure = plot.image_grid(images, weights, labels=[7, 2, 1], predictions=[7, 2, 3])
        >>> len(figure.axes)
        4
    """
    weights = weights_array(weights, ("n", "tokens"))
    images = read_images(images)
    if (labels is None) != (predictions is None):
        raise ValueError("labels and predictions are compared; give both or neither.")
    texts = {"labels": labels, "predictions": predictions, "titles": titles}
    texts = {name: column for name, column in texts.items() if column is not None}
    check_lengths(images=images, weights=weights, **texts)
    grid = grid or square_grid(weights.shape[1])
    check_grid(weights.shape[1], grid, images.shape[1:])
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    figure, axes, scale = tiles(rows, columns, aspect=images.shape[1] / images.shape[2])
    norm = Normalize(0.0, float(weights.max()) or 1.0)
    for number, ax in enumerate(axes.flat):
        style(ax, frame=False)
        if number < len(images):
            cells = weights[number].reshape(grid)
            look = {"interpolation": interpolation, "negative": negative}
            draw_overlay(ax, shown_image(images[number]), cells, norm, **look)
            if titles is not None:
                title(ax, plain(titles[number]), pad=3)
            elif labels is not None and predictions is not None:
                mark_prediction(ax, labels[number], predictions[number], names)
    attention_color_bar(figure, norm, cax=scale)
    return figure


def mark_prediction(
    ax: Axes, label: object, prediction: object, names: Sequence[str] | None = None
) -> None:
    """Title an image with its prediction, and frame it if that is wrong."""
    # With names, a label is a number.
    pair = (label, prediction)
    true, read = (plain(value if names is None else names[value]) for value in pair)  # type: ignore[index]
    if label == prediction:
        title(ax, f"{true} ✓", color=RIGHT, fontsize=9, pad=3)
        return
    title(ax, f"{read} ✗", color=WRONG, fontsize=9, pad=3, fontweight="bold")
    title(ax, f"is {true}", color=INK, fontsize=8, pad=3, loc="right")
    ax.spines[:].set_visible(False)
    frame = {"edgecolor": WRONG, "linewidth": 1.8, "linestyle": (0, (3, 1.5))}
    ax.add_patch(
        Rectangle((0, 0), 1, 1, transform=ax.transAxes, fill=False, clip_on=False, **frame)
    )


def check_lengths(**arrays: Sequence[object] | NDArray) -> None:
    """Refuse empty arrays and arrays of different lengths, naming each with its length."""
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1 or 0 in lengths.values():
        sizes = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise ValueError(f"one entry per image is needed in each, but {sizes}.")

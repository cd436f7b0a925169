"""Many images with the attention over each, and what the model read in them."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from attn_jax.plot.checks import check_grid, weights_array
from attn_jax.plot.colours import INK, RIGHT, WRONG
from attn_jax.plot.figure import plain, style, tiles, title
from attn_jax.plot.images import grey_image, read_images
from attn_jax.plot.overlay import attention_scale, draw_overlay, square_grid


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
    """Draws each image with the attention over it, one colour scale for all, and its reading.

    A right reading has a tick; a wrong one a cross, both labels and a thick dashed frame, so the
    two are told apart without colour.

    Args:
        images: ``(n, height, width)`` or ``(n, height, width, 1 or 3)``.
        weights: ``(n, tokens)``.
        grid: Rows and columns of patches; a square by default.
        labels: The n true classes; with them, ``predictions``.
        predictions: The n predicted classes.
        titles: The n titles, instead of readings.
        columns: Images beside each other.
        interpolation: As in :func:`overlay`.
        negative: As in :func:`overlay`.
        names: The classes' names, by index; the indices themselves by default.

    Returns:
        The figure.

    Raises:
        ValueError: If the four arrays differ in length, or as :func:`overlay`.

    Example:
        >>> import numpy as np
        >>> from attn_jax import plot
        >>> images, weights = np.zeros((3, 28, 28)), np.full((3, 49), 1 / 49)
        >>> figure = plot.image_grid(images, weights, labels=[7, 2, 1], predictions=[7, 2, 3])
        >>> len(figure.axes)
        4
    """
    weights = weights_array(weights, ("n", "tokens"))
    images = read_images(images)
    if (labels is None) != (predictions is None):
        raise ValueError("labels and predictions are compared; give both or neither.")
    words = {"labels": labels, "predictions": predictions, "titles": titles}
    words = {name: given for name, given in words.items() if given is not None}
    check_lengths(images=images, weights=weights, **words)
    grid = grid or square_grid(weights.shape[1])
    check_grid(weights.shape[1], grid, images.shape[1:])
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    figure, axes, scale = tiles(rows, columns, aspect=images.shape[1] / images.shape[2])
    norm = Normalize(0.0, float(weights.max()) or 1.0)
    for at, ax in enumerate(axes.flat):
        style(ax, frame=False)
        if at < len(images):
            cells = weights[at].reshape(grid)
            look = {"interpolation": interpolation, "negative": negative}
            draw_overlay(ax, grey_image(images[at]), cells, norm, **look)
            if titles is not None:
                title(ax, plain(titles[at]), pad=3)
            elif labels is not None and predictions is not None:
                mark_reading(ax, labels[at], predictions[at], names)
    attention_scale(figure, norm, at=scale)
    return figure


def mark_reading(
    ax: Axes, label: object, prediction: object, names: Sequence[str] | None = None
) -> None:
    """Titles an image with its reading, and frames it where that is wrong."""
    # A label is a number where there are names.
    true, read = (plain(value if names is None else names[value]) for value in (label, prediction))  # type: ignore[index]
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
    """Refuses arrays of different lengths, or empty ones, naming each with its length."""
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1 or 0 in lengths.values():
        said = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise ValueError(f"one entry per image is needed in each, but {said}.")

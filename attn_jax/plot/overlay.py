"""Attention laid over the image that was attended to."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from attn_jax.plot.checks import check_grid, weights_array
from attn_jax.plot.colours import ATTENTION, ATTENTION_OVERLAY, ATTENTION_SCALE, INK
from attn_jax.plot.figure import canvas, style
from attn_jax.plot.images import grey_image

# The image keeps this share of its contrast, so that the colour over it can be read.
_CONTRAST = 0.5


def overlay(
    image: ArrayLike,
    weights: ArrayLike,
    grid: tuple[int, int] | None = None,
    *,
    prefix_tokens: int = 0,
    interpolation: str = "nearest",
    contour: bool = False,
    negative: bool = False,
    vmax: float | None = None,
    normalized: bool = True,
    colorbar: bool = True,
    ax: Axes | None = None,
) -> Figure:
    """Draws an image in grey and, over it in colour, how much attention each patch got.

    Args:
        image: ``(height, width)`` or ``(height, width, 1 or 3)``; integers 0–255 or floats.
        weights: ``(tokens,)``, the patches row by row.
        grid: Rows and columns of patches; a square by default. ``(28, 1)`` for rows as tokens.
        prefix_tokens: How many tokens stand before the patches, such as a class token and
            registers; what they got together is written below the image.
        interpolation: How patches are enlarged: ``"nearest"`` shows what the model has; any other
            of matplotlib's, such as ``"bicubic"``, is smoother than that.
        contour: Draws lines of equal attention instead of colour.
        negative: Draws the image's negative: dark strokes on paper from MNIST's white on black.
        vmax: The weight that gets the strongest colour; the largest one by default.
        normalized: Whether the weights must sum to one.
        colorbar: Whether to draw the scale beside a figure of its own; never beside ``ax``.
        ax: Where to draw; a new figure by default.

    Returns:
        The figure.

    Raises:
        ValueError: If the weights are none, the grid has another number of cells, or it does not
            divide the image.

    Example:
        >>> import numpy as np
        >>> from attn_jax import plot
        >>> figure = plot.overlay(np.zeros((28, 28)), np.full(49, 1 / 49), (7, 7))
        >>> len(figure.axes)
        2
    """
    weights = weights_array(weights, ("tokens",), whole=normalized)
    grey = grey_image(image)
    prefix, patches = split_prefix(weights, prefix_tokens)
    grid = grid or square_grid(patches.size)
    check_grid(patches.size, grid, grey.shape)
    figure, axes = canvas(ax, (3.4, 3.0))
    norm = Normalize(0.0, vmax or float(patches.max()) or 1.0)
    draw_overlay(
        axes,
        grey,
        patches.reshape(grid),
        norm,
        interpolation=interpolation,
        contour=contour,
        negative=negative,
    )
    if prefix_tokens:
        axes.set_xlabel(f"{prefix.sum():.2g} on {prefix.size} other tokens", fontsize=8, color=INK)
    if ax is None and colorbar and not contour:
        attention_scale(figure, norm, beside=axes)
    return figure


def draw_overlay(
    ax: Axes,
    grey: NDArray,
    cells: NDArray,
    norm: Normalize,
    *,
    interpolation: str = "nearest",
    contour: bool = False,
    negative: bool = False,
) -> None:
    """Draws checked arrays on the axes: a grey image in [0, 1] and one weight per patch."""
    style(ax, frame=False)
    ax.spines[:].set_visible(True)
    grey = 1 - grey if negative else grey
    height, width = grey.shape
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    faded = 1 - _CONTRAST * (1 - grey)
    ax.imshow(faded, cmap="gray", vmin=0, vmax=1, extent=extent, interpolation="nearest")
    if contour:
        _draw_contour(ax, cells, norm, (height, width))
        return
    ax.imshow(
        cells,
        cmap=ATTENTION_OVERLAY,
        norm=norm,
        extent=extent,
        interpolation=interpolation,
        interpolation_stage="data",
    )


def _draw_contour(ax: Axes, cells: NDArray, norm: Normalize, size: tuple[int, int]) -> None:
    """Draws five levels; the outermost cells are repeated so that lines reach the border."""
    padded = np.pad(cells, 1, mode="edge")
    steps = [extent / count for extent, count in zip(size, cells.shape, strict=True)]
    y, x = (
        (np.arange(count) - 0.5) * step - 0.5
        for count, step in zip(padded.shape, steps, strict=True)
    )
    levels = np.linspace(norm.vmin or 0.0, norm.vmax or 1.0, 7)[1:-1]
    if cells.max() > levels[0]:
        ax.contour(x, y, padded, levels=levels, cmap=ATTENTION, norm=norm, linewidths=1.4)
    ax.set(xlim=(-0.5, size[1] - 0.5), ylim=(size[0] - 0.5, -0.5))


def split_prefix(weights: NDArray, prefix_tokens: int) -> tuple[NDArray, NDArray]:
    """Parts the weights of class and register tokens from those of the patches.

    Raises:
        ValueError: If there are not so many tokens.
    """
    tokens = weights.shape[-1]
    if not 0 <= prefix_tokens < tokens:
        raise ValueError(
            f"prefix_tokens={prefix_tokens} leaves no patch of {tokens} weights; "
            "give the number of class and register tokens before the patches."
        )
    return weights[..., :prefix_tokens], weights[..., prefix_tokens:]


def attention_scale(
    figure: Figure, norm: Normalize, *, beside: Axes | None = None, at: Axes | None = None
) -> None:
    """Draws the scale of an overlay's colours, ``beside`` some axes or ``at`` axes of its own."""
    colour_scale(figure, ScalarMappable(norm, ATTENTION_SCALE), beside=beside, at=at)


def colour_scale(
    figure: Figure,
    colours: ScalarMappable,
    *,
    beside: Axes | None = None,
    at: Axes | None = None,
) -> None:
    """Draws a slim scale of attention weights, ``beside`` some axes or ``at`` axes of its own."""
    slim = {"fraction": 0.05, "aspect": 24} if at is None else {}
    bar = figure.colorbar(colours, cax=at, ax=beside, **slim)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, labelcolor=INK, length=2, width=0.8, color=INK)
    inches = bar.ax.get_position().height * figure.get_figheight()
    bar.locator = MaxNLocator(max(2, min(5, round(3 * inches))))
    # Both words are an inch long.
    bar.set_label("attention weight" if inches > 1.1 else "weight", fontsize=8, color=INK)


def square_grid(tokens: int) -> tuple[int, int]:
    """Returns the square grid of so many patches.

    Raises:
        ValueError: If the number is no square.
    """
    side = math.isqrt(tokens)
    if side * side != tokens:
        raise ValueError(f"{tokens} weights make no square grid; give grid=(rows, columns).")
    return side, side

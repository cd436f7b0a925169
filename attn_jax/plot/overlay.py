"""Attention over an image."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from attn_jax.plot.checks import check_grid, weights_array
from attn_jax.plot.colors import ATTENTION, ATTENTION_OVERLAY, ATTENTION_SCALE, INK
from attn_jax.plot.figure import canvas, style
from attn_jax.plot.images import shown_image

# Fraction of the image's contrast to keep, so that the colors over it stay readable.
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
    """Draw an image, paler than it is, with the attention to each patch over it in color.

    Args:
        image: `(height, width)` or `(height, width, 1 or 3)`; any number type.
        weights: `(tokens,)`, patches row by row.
        grid: Rows and columns of patches; a square by default. `(28, 1)` for rows as tokens.
        prefix_tokens: Number of tokens before the patches, such as a class token and registers;
            their total weight is written below the image.
        interpolation: Interpolation between patches: `"nearest"` shows the patches as they are;
            the others of matplotlib, such as `"bicubic"`, are smoother than the weights.
        contour: Whether to draw lines of equal attention instead of colors.
        negative: Whether to invert the image, as for dark strokes on white from MNIST's digits.
        vmax: Weight shown in the strongest color; the largest weight by default.
        normalized: Whether the weights must sum to one.
        colorbar: Whether to draw a color bar; never drawn when `ax` is given.
        ax: Axes to draw on; a new figure by default.

    Returns:
        The figure.

    Raises:
        ValueError: If the weights are not valid, or the grid does not fit them or the image.

    Example:
        >>> import numpy as np
        >>> from attn_jax import plot
        >>> center = np.hypot(*np.mgrid[-1:1:28j, -1:1:28j])  # the distance from it
        >>> ring = np.exp(-((center - 0.5) ** 2) / 0.02)
        >>> cells = ring.reshape(7, 4, 7, 4).mean((1, 3)).ravel()
        >>> figure = plot.overlay(ring, cells / cells.sum(), (7, 7))
        >>> len(figure.axes)
        2
    """
    weights = weights_array(weights, ("tokens",), whole=normalized)
    picture = shown_image(image)
    prefix, patches = split_prefix(weights, prefix_tokens)
    grid = grid or square_grid(patches.size)
    check_grid(patches.size, grid, picture.shape)
    figure, axes = canvas(ax, (3.4, 3.0))
    norm = Normalize(0.0, vmax or float(patches.max()) or 1.0)
    draw_overlay(
        axes,
        picture,
        patches.reshape(grid),
        norm,
        interpolation=interpolation,
        contour=contour,
        negative=negative,
    )
    if prefix_tokens:
        axes.set_xlabel(f"{prefix.sum():.2g} on {prefix.size} other tokens", fontsize=8, color=INK)
    if ax is None and colorbar and not contour:
        attention_color_bar(figure, norm, beside=axes)
    return figure


def draw_overlay(
    ax: Axes,
    picture: NDArray,
    cells: NDArray,
    norm: Normalize,
    *,
    interpolation: str = "nearest",
    contour: bool = False,
    negative: bool = False,
) -> None:
    """Draw checked arrays: an image in [0, 1], gray or in color, and one weight per patch."""
    style(ax, frame=False)
    ax.spines[:].set_visible(True)
    picture = 1 - picture if negative else picture
    height, width = picture.shape[:2]
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    faded = 1 - _CONTRAST * (1 - picture)
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
    """Draw five levels, with the outermost cells repeated so that lines reach the border."""
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
    """Split the weights of class and register tokens from those of the patches.

    Raises:
        ValueError: If there are too few tokens.
    """
    tokens = weights.shape[-1]
    if not 0 <= prefix_tokens < tokens:
        raise ValueError(
            f"prefix_tokens={prefix_tokens} leaves no patch of {tokens} weights; "
            "give the number of class and register tokens before the patches."
        )
    return weights[..., :prefix_tokens], weights[..., prefix_tokens:]


def attention_color_bar(
    figure: Figure, norm: Normalize, *, beside: Axes | None = None, cax: Axes | None = None
) -> None:
    """Draw a color bar of an overlay, `beside` other axes or in `cax`."""
    color_bar(figure, ScalarMappable(norm, ATTENTION_SCALE), beside=beside, cax=cax)


def color_bar(
    figure: Figure,
    colors: ScalarMappable,
    *,
    beside: Axes | None = None,
    cax: Axes | None = None,
) -> None:
    """Draw a narrow color bar of attention weights, `beside` other axes or in `cax`."""
    slim = {"fraction": 0.05, "aspect": 24} if cax is None else {}
    bar = figure.colorbar(colors, cax=cax, ax=beside, **slim)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, labelcolor=INK, length=2, width=0.8, color=INK)
    inches = bar.ax.get_position().height * figure.get_figheight()
    bar.locator = MaxNLocator(max(2, min(5, round(3 * inches))))
    # The longer label is about an inch long.
    bar.set_label("attention weight" if inches > 1.1 else "weight", fontsize=8, color=INK)


def square_grid(tokens: int) -> tuple[int, int]:
    """Return the rows and columns of a square grid of patches.

    Raises:
        ValueError: If the number is not a square.
    """
    side = math.isqrt(tokens)
    if side * side != tokens:
        raise ValueError(f"{tokens} weights do not make a square grid; give grid=(rows, columns).")
    return side, side

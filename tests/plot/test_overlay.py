import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import interpolations_names

from attn_jax import plot

HEIGHT, WIDTH, GRID = 21, 10, (7, 5)


def drawn(figure):
    """The pixels of the first axes, as floats (rows, columns, 3)."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3] / 255
    box = figure.axes[0].get_window_extent()
    top = pixels.shape[0]
    return pixels[round(top - box.y1) : round(top - box.y0), round(box.x0) : round(box.x1)]


def center_of_color(pixels):
    """Where the pixels that are not gray lie, as shares of height and width."""
    color = pixels.max(-1) - pixels.min(-1)
    rows, columns = (np.arange(n) + 0.5 for n in color.shape)
    total = color.sum()
    return (
        (color.sum(1) @ rows) / total / color.shape[0],
        (color.sum(0) @ columns) / total / color.shape[1],
    )


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("cell", [(0, 0), (2, 4), (6, 1)])
def test_color_lies_on_the_patch_that_got_the_attention(cell, interpolation):
    weights = np.zeros(GRID)
    weights[cell] = 1
    figure = plot.overlay(
        np.zeros((HEIGHT, WIDTH)), weights.ravel(), GRID, interpolation=interpolation
    )
    middle = [(at + 0.5) / size for at, size in zip(cell, GRID, strict=True)]
    np.testing.assert_allclose(
        center_of_color(drawn(figure)), middle, atol=0.065
    )  # smoothing spreads inwards


def test_more_attention_is_darker_on_paper():
    weights = np.array([0.0, 0.1, 0.2, 0.3, 0.4])
    figure = plot.overlay(np.ones((2, 10)), weights, (1, 5))
    pixels = drawn(figure)
    height, width = pixels.shape[:2]
    middles = [pixels[height // 2, int((at + 0.5) * width / 5)].mean() for at in range(5)]
    assert all(np.diff(middles) < -0.02)


def test_the_negative_of_black_is_paper():
    look = {"weights": np.zeros(35), "grid": GRID, "normalized": False}
    black = np.zeros((HEIGHT, WIDTH))
    center = {n: drawn(plot.overlay(black, negative=n, **look)) for n in (False, True)}
    assert center[True][20:-20, 20:-20].min() == 1
    assert center[False][20:-20, 20:-20].max() < 0.6


def test_contour_draws_lines_and_survives_a_flat_map():
    peaked = np.full(35, 0.01)
    peaked[17] = 1 - 0.34
    image = np.zeros((HEIGHT, WIDTH))
    assert plot.overlay(image, peaked, GRID, contour=True).axes[0].collections
    plot.overlay(image, np.full(35, 1 / 35), GRID, contour=True).canvas.draw()


def test_rows_may_be_tokens_and_squares_are_found():
    plot.overlay(np.zeros((28, 28), np.uint8), np.full(28, 1 / 28), (28, 1))
    plot.overlay(np.zeros((28, 28), np.uint8), np.full(49, 1 / 49))
    with pytest.raises(ValueError, match=r"50 weights do not make a square grid"):
        plot.overlay(np.zeros((28, 28)), np.full(50, 1 / 50))


def test_the_callers_axes_are_drawn_on_without_a_scale():
    figure = Figure()
    axes = figure.subplots(1, 2)
    assert plot.overlay(np.zeros((6, 6)), np.full(4, 0.25), ax=axes[1]) is figure
    assert len(figure.axes) == 2
    assert not axes[0].images
    assert axes[1].images


def test_a_subfigure_gives_the_whole_figure():
    figure = Figure()
    part = figure.subfigures(1, 2)[0]
    assert plot.bars([0.5, 0.5], ax=part.subplots()) is figure


def test_class_and_register_tokens_are_no_patches():
    weights = np.concatenate([[0.25, 0.125], np.zeros(35)])
    weights[2 + 17] = 0.625
    figure = plot.overlay(np.zeros((HEIGHT, WIDTH)), weights, GRID, prefix_tokens=2)
    ax = figure.axes[0]
    np.testing.assert_array_equal(np.argwhere(ax.images[1].get_array()), [(3, 2)])
    assert ax.images[1].norm.vmax == 0.625
    assert ax.get_xlabel() == "0.38 on 2 other tokens"
    with pytest.raises(ValueError, match=r"has 35 cells, but there are 37 weights"):
        plot.overlay(np.zeros((HEIGHT, WIDTH)), weights, GRID)
    with pytest.raises(ValueError, match=r"prefix_tokens=37 leaves no patch of 37 weights"):
        plot.overlay(np.zeros((HEIGHT, WIDTH)), weights, GRID, prefix_tokens=37)


@pytest.mark.parametrize("interpolation", sorted(interpolations_names))
def test_every_interpolation_is_drawn(interpolation):
    weights = np.arange(35) / 595
    look = {"interpolation": interpolation, "negative": True}
    pixels = drawn(plot.overlay(np.zeros((HEIGHT, WIDTH)), weights, GRID, **look))
    assert pixels[-40:].mean() < pixels[:40].mean() - 0.1


def test_an_unknown_interpolation_is_named():
    with pytest.raises(ValueError, match=r"'smooth' is not a valid value for interpolation"):
        plot.overlay(np.zeros((4, 4)), np.full(4, 0.25), interpolation="smooth")


def test_a_color_image_is_drawn_in_its_colors():
    image = np.zeros((4, 4, 3))
    image[..., 0] = 1
    for figure in (
        plot.overlay(image, np.full(4, 0.25)),
        plot.image_grid(image[None], np.full((1, 4), 0.25)),
    ):
        drawn = figure.axes[0].images[0].get_array()
        assert drawn.shape == (4, 4, 3)
        np.testing.assert_allclose(drawn[0, 0], (1, 0.5, 0.5))

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from attn_jax import plot

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 14, 21), np.uint8)
WEIGHTS = np.random.default_rng(1).dirichlet(np.ones(6), 5)


def words(ax):
    return " ".join(ax.get_title(loc) for loc in ("left", "right")).strip()


def frames(ax):
    return [p for p in ax.patches if isinstance(p, Rectangle) and not p.get_fill()]


def test_right_and_wrong_are_told_apart_by_word_and_frame():
    readings = {"labels": [0, 1, 2, 3, 4], "predictions": [0, 7, 2, 3, 8]}
    figure = plot.image_grid(IMAGES, WEIGHTS, (2, 3), columns=3, **readings)
    axes = figure.axes[:5]
    assert [words(ax) for ax in axes] == ["0 ✓", "7 ✗ is 1", "2 ✓", "3 ✓", "8 ✗ is 4"]
    assert [len(frames(ax)) for ax in axes] == [0, 1, 0, 0, 1]
    assert len(figure.axes) == 7  # two rows of three, and the scale


def test_names_and_titles():
    readings = {"labels": np.array([1]), "predictions": np.array([0])}
    named = plot.image_grid(IMAGES[:1], WEIGHTS[:1], (2, 3), names=["$hat$", "a_b"], **readings)
    assert words(named.axes[0]) == "$hat$ ✗ is a_b"
    titled = plot.image_grid(IMAGES[:2], WEIGHTS[:2], (2, 3), titles=["first", "second"])
    assert [words(ax) for ax in titled.axes[:2]] == ["first", "second"]
    titled.canvas.draw()
    named.canvas.draw()


def test_one_scale_serves_all_images():
    figure = plot.image_grid(IMAGES, WEIGHTS, (2, 3))
    assert {ax.images[1].norm.vmax for ax in figure.axes[:5]} == {WEIGHTS.max()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [1, 2]}, "images has 5, weights has 5, labels has 2, predictions has 5"),
        ({"labels": None}, "give both or neither"),
        ({"grid": (3, 3)}, "has 9 cells, but there are 6 weights"),
        ({"grid": (6, 1)}, "does not divide"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change, message):
    given = {"grid": (2, 3), "labels": range(5), "predictions": range(5)} | change
    with pytest.raises(ValueError, match=message):
        plot.image_grid(IMAGES, WEIGHTS, **given)

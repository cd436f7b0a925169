"""A table of scores: what is drawn are its numbers, on one scale around zero."""

import types

import numpy as np
import pytest

from attn_jax import plot

TABLE = np.array([[0.5, -2.0, np.nan], [0.0, 1.0, 0.25]])


def test_draws_the_numbers_around_zero():
    figure = plot.score_map(TABLE, label="effect")
    image = figure.axes[0].images[0]
    np.testing.assert_array_equal(np.ma.filled(image.get_array(), np.nan), TABLE)
    assert (image.norm.vmin, image.norm.vmax) == (-2, 2)
    assert figure.axes[1].get_ylabel() == "effect"


def test_what_is_missing_is_hatched_and_named():
    axes = plot.score_map(TABLE).axes[0]
    assert axes.patch.get_visible()
    assert axes.patch.get_hatch()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["missing"]
    whole = plot.score_map(np.nan_to_num(TABLE)).axes[0]
    assert not whole.patch.get_visible()
    assert whole.get_legend() is None


@pytest.mark.parametrize(
    ("table", "limits"), [(TABLE, (-2, 2)), (abs(TABLE), (0, 2)), (-abs(TABLE), (-2, 0))]
)
def test_the_scale_shows_the_signs_that_occur(table, limits):
    assert plot.score_map(table).axes[1].get_ylim() == limits


def test_takes_scores_with_their_axes():
    scores = types.SimpleNamespace(values=TABLE, axes=("layer", "position"))
    axes = plot.score_map(scores, rows="ab", columns=["x", "$y$", "z"]).axes[0]
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("layer", "position")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["x", "$y$", "z"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]


def test_a_label_longer_than_the_bar_stands_above_the_map():
    figure = plot.score_map(TABLE, label="change of the logit difference")
    assert figure.axes[0].get_title("left") == "change of the logit difference"
    assert figure.axes[1].get_ylabel() == ""


def test_draws_a_table_of_nothing():
    plot.score_map(np.full((2, 2), np.nan)).draw_without_rendering()
    plot.score_map(np.zeros((1, 1))).draw_without_rendering()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"scores": np.zeros((2, 3, 4)), "axes": ("a", "b", "c")}, r"\(2, 3, 4\) with the axes"),
        ({"scores": np.zeros(3)}, "no table; choose two axes"),
        ({"scores": TABLE, "axes": "a"}, "names 1 axes"),
        ({"scores": [[np.inf]]}, r"scores\[0, 0\] is infinite"),
        ({"scores": TABLE, "columns": "ab"}, "columns has 2 labels, and scores has 3 columns"),
        ({"scores": TABLE, "rows": "abc"}, "rows has 3 labels, and scores has 2 rows"),
    ],
    ids=["rank", "vector", "axes", "infinite", "columns", "rows"],
)
def test_refuses_what_is_no_table(given, message):
    with pytest.raises(ValueError, match=message):
        plot.score_map(**given)

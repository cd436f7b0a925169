"""Alignment, gold links, arcs and words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from attn_jax import plot
from attn_jax.plot.colors import ATTENTION, TRUTH

WEIGHTS = np.array(
    [[0.7, 0.2, 0.1, 0.0, 0.0], [0.0, 0.1, 0.1, 0.8, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0]]
)
WORDS = {"source": ["水", "$x", "שלום", "_", "e"], "target": ["eau", "a" * 200, "<end>"]}


def outlined(ax):
    """``{label: {(row, column), …}}`` of the outlined cells."""
    return {
        box.get_label(): {
            tuple(int(at) for at in path.vertices[:4].mean(0)[::-1]) for path in box.get_paths()
        }
        for box in ax.collections
        if isinstance(box, PolyCollection)
    }


@pytest.mark.parametrize("draw", ["alignment", "heatmap"])
def test_gold_links_are_outlined_sure_ones_solid_possible_ones_dashed(draw):
    sure, possible = np.zeros((2, 3, 5), bool)
    sure[0, 0] = sure[1, 3] = True
    possible[0, 0] = possible[0, 1] = possible[2, 4] = True
    words = WORDS if draw == "alignment" else {}
    ax = getattr(plot, draw)(WEIGHTS, sure=sure, possible=possible, **words).axes[0]
    assert outlined(ax) == {"sure link": {(0, 0), (1, 3)}, "possible link": {(0, 1), (2, 4)}}
    solid, dashed = (box for box in ax.collections if isinstance(box, PolyCollection))
    assert [box.get_linestyle()[0][1] is None for box in (solid, dashed)] == [True, False]
    np.testing.assert_array_equal(solid.get_edgecolor(), [to_rgba(TRUTH)])
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts[:2] == ["sure link", "possible link"]


def test_the_strongest_weight_of_each_token_that_looks_is_marked():
    (dots,) = plot.alignment(WEIGHTS, **WORDS).axes[0].lines
    np.testing.assert_array_equal(dots.get_xydata(), [(0, 0), (3, 1)])
    ax = plot.alignment(WEIGHTS, strongest=False, **WORDS).axes[0]
    assert not ax.lines
    assert ax.get_legend() is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": "abcd"}, r"source has 4 labels, but weights of shape \(3, 5\) have 5 keys"),
        ({"target": "abcd"}, r"target has 4 labels, but weights of shape \(3, 5\) have 3 queries"),
        ({"sure": np.ones((5, 3))}, r"sure has shape \(5, 3\), but the weights have \(3, 5\)"),
        ({"possible": np.ones(5)}, r"possible has shape \(5,\), but the weights have \(3, 5\)"),
        ({"weights": WEIGHTS[0]}, r"shape \(5,\); \(target, source\) is needed"),
    ],
)
def test_what_does_not_fit_the_alignment_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        plot.alignment(**({"weights": WEIGHTS} | WORDS | change))


def test_the_callers_axes_get_the_alignment_and_no_scale():
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert plot.alignment(WEIGHTS, ax=right, **WORDS) is figure
    assert not left.images
    assert len(figure.axes) == 2
    assert right.get_ylabel() == "target"


def arcs_of(ax):
    """``{(start height, end height): color}`` of the lines."""
    (lines,) = (c for c in ax.collections if isinstance(c, LineCollection))
    lines.update_scalarmappable()
    ends = [(path.vertices[0], path.vertices[-1]) for path in lines.get_paths()]
    assert all(start[0] == 0 and end[0] == 1 for start, end in ends)
    at = [(round(float(start[1]), 9), round(float(end[1]), 9)) for start, end in ends]
    return dict(zip(at, map(tuple, lines.get_edgecolor()), strict=True)), lines.get_linewidth()


def test_each_weight_is_a_line_from_its_query_to_its_key():
    found, widths = arcs_of(plot.arcs(WEIGHTS).axes[0])
    expected = {
        (round((q + 0.5) / 3, 9), round((k + 0.5) / 5, 9)): WEIGHTS[q, k]
        for q, k in np.argwhere(WEIGHTS)
    }
    assert found.keys() == expected.keys()
    for at, weight in expected.items():
        assert found[at] == pytest.approx(ATTENTION(weight / 0.8), abs=0.02)
    assert (np.diff(widths) >= 0).all()


def test_the_lines_of_one_query_or_the_strongest_can_be_had():
    assert len(arcs_of(plot.arcs(WEIGHTS, query=-2).axes[0])[0]) == 3
    found, _ = arcs_of(plot.arcs(WEIGHTS, top_k=2).axes[0])
    assert found.keys() == {(round(0.5 / 3, 9), 0.1), (0.5, 0.7)}
    assert not arcs_of(plot.arcs(WEIGHTS, query=2).axes[0])[0]
    with pytest.raises(
        ValueError, match="there is no query=3 among 3 queries; choose one of 0 to 2"
    ):
        plot.arcs(WEIGHTS, query=3)


def test_tokens_stand_at_their_lines():
    ax = plot.arcs(WEIGHTS, queries=WORDS["target"], keys=WORDS["source"]).axes[0]
    at = {text.get_text(): text.get_position() for text in ax.texts}
    assert at["水"] == (1.02, 0.1)
    assert at["<end>"] == (-0.02, 2.5 / 3)
    assert [t.get_text() for t in plot.arcs(WEIGHTS).axes[0].texts] == [*"012", *"01234"]
    with pytest.raises(ValueError, match="keys has 1 labels"):
        plot.arcs(WEIGHTS, keys=["a"])


def merged_by_loops(weights, rows, columns):
    """The same, over lists of the tokens of each word."""
    merged = np.zeros((*weights.shape[:-2], len(rows), len(columns)))
    for at, row in enumerate(rows):
        for to, column in enumerate(columns):
            for query in row:
                for key in column:
                    merged[..., at, to] += weights[..., query, key] / len(row)
    return merged


def test_words_are_merged_as_a_loop_does():
    weights = np.random.default_rng(0).dirichlet(np.ones(7), (2, 3, 5))
    merged = plot.merge_words(weights, [None, 0, 0, 1, None], [None, None, 0, 0, 0, "x", 0])
    rows, columns = [[0], [1, 2], [3], [4]], [[0], [1], [2, 3, 4], [5], [6]]
    np.testing.assert_allclose(merged, merged_by_loops(weights, rows, columns), rtol=1e-12)


@given(st.lists(st.none() | st.integers(0, 2), min_size=1, max_size=11), st.integers(0, 99))
def test_no_attention_is_lost_when_words_are_merged(words, seed):
    weights = np.random.default_rng(seed).dirichlet(np.ones(len(words)), len(words))
    merged = plot.merge_words(weights, words)
    np.testing.assert_allclose(merged.sum(-1), 1, rtol=1e-12)
    sizes = np.diff(plot.words.word_starts(words), append=len(words))
    assert sizes @ merged.sum(-1) == pytest.approx(len(words))
    assert merged.shape == (len(sizes), len(sizes))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((WEIGHTS, [0, 1]), r"words has 2 labels, but weights of shape \(3, 5\) have 3 queries"),
        ((WEIGHTS, [0, 1, 1]), r"key_words has 3 labels, but .* have 5 keys"),
        ((WEIGHTS[0], [0]), r"shape \(5,\); \(…, queries, keys\) is needed"),
    ],
)
def test_words_of_another_number_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        plot.merge_words(*given)


def test_the_old_name_of_the_number_of_lines_is_answered_with_the_new():
    with pytest.raises(TypeError, match=r"takes top_k=\.\.\., which used to be called most"):
        plot.arcs(np.eye(3), most=2)

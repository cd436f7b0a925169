"""Heatmap, heads and bars."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from attn_jax import plot
from attn_jax.plot.colors import MASKED

WEIGHTS = np.random.default_rng(0).dirichlet(np.ones(5), (2, 3, 7))


def test_queries_go_down_and_keys_across():
    figure = plot.heatmap(WEIGHTS[0, 0], queries=list("abcdefg"), keys=list("vwxyz"))
    ax = figure.axes[0]
    np.testing.assert_array_equal(ax.images[0].get_array(), WEIGHTS[0, 0])
    assert [t.get_text() for t in ax.get_yticklabels()] == list("abcdefg")
    assert [t.get_text() for t in ax.get_xticklabels()] == list("vwxyz")
    top, bottom = ax.transData.transform([(0, 0), (0, 6)])[:, 1]
    assert top > bottom


def test_masked_cells_are_gray_and_carry_no_number():
    mask = np.tri(3, dtype=bool)
    weights = np.array([[1, 0, 0], [0.5, 0.5, 0], [0.2, 0.3, 0.5]])
    ax = plot.heatmap(weights, mask=mask).axes[0]
    image = ax.images[0]
    colors = image.to_rgba(image.get_array())[..., :3]
    np.testing.assert_allclose(colors[~mask], [to_rgb(MASKED)] * 3, atol=1e-6)
    assert len(ax.texts) == mask.sum()


def test_numbers_are_written_only_where_they_fit():
    assert not plot.heatmap(np.full((20, 20), 0.05)).axes[0].texts
    assert len(plot.heatmap(np.full((20, 20), 0.05), annotate=True).axes[0].texts) == 400
    assert not plot.heatmap([[1.0]], annotate=False).axes[0].texts


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"keys": ["a", "b"]}, r"keys has 2 labels, but weights of shape \(7, 5\) have 5 keys"),
        ({"queries": [""] * 5}, r"queries has 5 labels, .* have 7 queries"),
        ({"mask": np.ones((5, 7), bool)}, r"shape \(5, 7\), but the weights have \(7, 5\)"),
    ],
)
def test_labels_and_masks_of_another_size_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        plot.heatmap(WEIGHTS[0, 0], **given)


def test_heads_are_laid_out_by_layer():
    axes = plot.heads(WEIGHTS).axes
    maps = np.array([ax.images[0].get_array() for ax in axes[:6]]).reshape(2, 3, 7, 5)
    np.testing.assert_array_equal(maps, WEIGHTS)
    assert [axes[at].get_ylabel() for at in (0, 3)] == ["layer 0", "layer 1"]
    assert len(plot.heads(WEIGHTS[0]).axes) == 4
    with pytest.raises(ValueError, match="rank 4"):
        plot.heads(WEIGHTS[0, 0])


def test_masked_cells_of_every_head_are_gray():
    mask = np.arange(35).reshape(7, 5) % 3 > 0
    for ax in plot.heads(WEIGHTS, mask=mask).axes[:6]:
        np.testing.assert_array_equal(np.ma.getmaskarray(ax.images[0].get_array()), ~mask)
    with pytest.raises(ValueError, match=r"mask has shape \(5, 7\), but the weights have \(7, 5\)"):
        plot.heads(WEIGHTS, mask=mask.T)


def test_heads_need_not_sum_to_one_when_asked():
    assert plot.heads(3 * WEIGHTS, normalized=False).axes[0].images[0].norm.vmax <= 3
    with pytest.raises(ValueError, match="sums to 3"):
        plot.heads(3 * WEIGHTS)


def test_image_heads_shows_each_image_and_below_it_each_head():
    weights = np.random.default_rng(0).dirichlet(np.ones(6), (2, 3))
    axes = plot.image_heads(np.zeros((2, 4, 9)), weights, (2, 3)).axes
    assert len(axes) == 4 * 2 + 1
    cells = np.array([ax.images[1].get_array() for ax in axes[2:8]]).reshape(3, 2, 6)
    np.testing.assert_array_equal(cells.swapaxes(0, 1), weights)
    with pytest.raises(ValueError, match="images has 3, weights has 2"):
        plot.image_heads(np.zeros((3, 4, 9)), weights, (2, 3))


def test_bars_stand_on_their_keys():
    ax = plot.bars([0.2, 0.3, 0.5], keys=["a", "b", "c"]).axes[0]
    assert [bar.get_height() for bar in ax.patches] == [0.2, 0.3, 0.5]
    assert ax.lines[0].get_ydata()[0] == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="keys has 2 labels, but there are 3 weights"):
        plot.bars([0.2, 0.3, 0.5], keys=["a", "b"])

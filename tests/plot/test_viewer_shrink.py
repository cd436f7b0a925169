"""Maps too many for one page: the first are stored whole, of the others what can be summed up."""

import itertools

import numpy as np
import pytest

from attn_jax import plot
from attn_jax.plot.viewer import shrink

RNG = np.random.default_rng(0)


def maps(*shape):
    return RNG.dirichlet(np.ones(shape[-1]), shape[:-1]).astype(np.float32)


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr(shrink, "MOST_CELLS", 2 * 3 * 5 * 7)


def test_the_first_layers_that_fit_are_whole(small_pages):
    weights = maps(4, 3, 5, 7)
    view = plot.viewer(weights, queries="abcde", top_k=2)
    assert [layer.name for layer in view._content.layers] == ["layer 0", "layer 1"]
    assert [layer.name for layer in view._content.summaries] == ["layer 2", "layer 3"]
    assert "too large to open (2 are stored whole; whole_layers=[...]" in view.sources[2]
    assert view._content.labels["layer 3"] == (list("abcde"), None)
    assert view.html()


def test_the_layers_chosen_are_whole(small_pages):
    weights = maps(4, 3, 5, 7)
    view = plot.viewer(weights, whole_layers=[-1, "layer 1"])
    assert [layer.name for layer in view._content.layers] == ["layer 1", "layer 3"]
    np.testing.assert_array_equal(view._content.layers[1].weights, weights[3])


def test_a_summary_is_of_the_maps_it_replaces(monkeypatch):
    monkeypatch.setattr(shrink, "_TILES", 4)
    weights = maps(1, 3, 5, 7)
    view = plot.viewer(weights, whole_layers=[])
    fields = view._content.summaries[0].fields
    exact = weights[0].astype(np.float64)
    np.testing.assert_allclose(fields["entropy"], -(exact * np.log(exact)).sum(-1), rtol=1e-5)
    np.testing.assert_allclose(fields["received"], exact.sum(1), rtol=1e-5)
    apart = abs(np.arange(5)[:, None] - np.arange(7))
    np.testing.assert_allclose(fields["distance"], (exact * apart).sum(-1), rtol=1e-5)
    np.testing.assert_array_equal(fields["top_weights"], -np.sort(-weights[0])[..., :8])
    np.testing.assert_array_equal(fields["top_indices"], np.argsort(-weights[0])[..., :8])
    rows, columns = [slice(0, 1), slice(1, 2), slice(2, 3), slice(3, 5)], [0, 1, 3, 5, 7]
    pooled = [
        [[head[row, a:b].mean() for a, b in itertools.pairwise(columns)] for row in rows]
        for head in exact
    ]
    np.testing.assert_allclose(fields["pooled"], pooled, rtol=1e-5)


@pytest.mark.parametrize(
    ("chosen", "message"), [([4], "names 4; there are 4"), (["x"], "names 'x'")]
)
def test_layers_that_do_not_exist_cannot_be_whole(chosen, message):
    with pytest.raises(ValueError, match=message):
        plot.viewer(maps(4, 3, 5, 7), whole_layers=chosen)


def test_weights_that_are_only_summed_up_are_checked(small_pages):
    weights = maps(4, 3, 5, 7)
    weights[3, 2, 1, 0] = np.nan
    with pytest.raises(ValueError, match=r"layer 3\[2, 1, 0\] = nan is not finite"):
        plot.viewer(weights)

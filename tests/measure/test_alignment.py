"""Alignment scores, compared with values by hand and with sets of links."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attn_jax import measure


def links(text):
    return jnp.array([[c == "x" for c in row] for row in text.split()])


def test_the_example_of_sure_and_possible_links_by_hand():
    # Two sure links and two possible ones; the guess has one sure, one possible, one wrong link.
    sure, possible = links("x... .x.. ...."), links("x... .x.x ..x.")
    counts = measure.alignment_counts(links("x... ...x x..."), sure, possible)
    assert [int(c) for c in counts] == [3, 2, 1, 2, 0]
    np.testing.assert_allclose(counts.precision, 2 / 3)
    np.testing.assert_allclose(counts.recall, 1 / 2)
    np.testing.assert_allclose(counts.error_rate, 1 - 3 / 5)
    np.testing.assert_allclose(counts.f_measure, 2 * (2 / 3) * (1 / 2) / (2 / 3 + 1 / 2))
    np.testing.assert_allclose(counts.weighted_f(0.25), 1 / (0.25 / (2 / 3) + 0.75 / (1 / 2)))


tables = st.lists(st.lists(st.booleans(), min_size=15, max_size=15), min_size=3, max_size=3)


@settings(deadline=None)
@given(tables, st.lists(st.booleans(), min_size=3, max_size=3))
def test_counts_are_those_of_sets(cells, mask):
    guess, sure, possible = (np.array(c).reshape(3, 5) for c in cells)
    a, s, p = (
        {(int(i), int(j)) for i, j in np.argwhere(x) if mask[i]} for x in (guess, sure, possible)
    )
    p |= s
    counts = measure.alignment_counts(
        jnp.array(guess), jnp.array(sure), jnp.array(possible), jnp.array(mask)
    )
    unlinked = {link for link in a if link[0] not in {i for i, _ in p}}
    expected = [len(a), len(s), len(a & s), len(a & p), len(unlinked)]
    assert [int(c) for c in counts] == expected
    for rates, guess in ((counts, a), (counts.linked_only(), a - unlinked)):
        both = len(guess & s) + len(guess & p)
        expected = 1 - both / (len(guess) + len(s)) if guess or s else np.nan
        np.testing.assert_allclose(rates.error_rate, expected, atol=1e-6)
        expected = len(guess & p) / len(guess) if guess else np.nan
        np.testing.assert_allclose(rates.precision, expected, atol=1e-6)
        f = float(rates.f_measure)
        assert 0 <= f <= 1 if s else np.isnan(f)


def test_every_link_counts_unless_words_without_gold_are_left_out():
    # The last target word has no gold, but argmax links every word.
    counts = measure.alignment_counts(links("x.. .x. ..x ..x"), links("x.. .x. x.. ..."))
    assert [int(c) for c in counts] == [4, 3, 2, 2, 1]
    np.testing.assert_allclose(counts.error_rate, 1 - 4 / 7, rtol=1e-6)
    np.testing.assert_allclose(counts.linked_only().error_rate, 1 - 4 / 6, rtol=1e-6)
    np.testing.assert_allclose(counts.precision, 2 / 4)
    np.testing.assert_allclose(counts.linked_only().precision, 2 / 3)
    assert counts.recall == counts.linked_only().recall


def test_an_alignment_without_links_has_no_precision():
    counts = measure.alignment_counts(links("... ..."), links("x.. ..."))
    assert np.isnan(counts.precision)
    assert [float(x) for x in (counts.recall, counts.f_measure, counts.error_rate)] == [0, 0, 1]
    only = measure.alignment_counts(links("... ..x"), links("x.. ...")).linked_only()
    assert np.isnan(only.precision)
    nothing = measure.alignment_counts(links("..."), links("..."))
    assert np.isnan([nothing.recall, nothing.f_measure, nothing.error_rate]).all()


def test_a_corpus_is_counted_not_averaged():
    sure = jnp.stack([links("x.. .x. ..x"), links("x.. ... ...")])
    guess = jnp.stack([links("x.. .x. ..x"), links(".x. ... ...")])
    counts = jax.jit(measure.alignment_counts)(guess, sure)
    np.testing.assert_allclose(counts.error_rate, [0, 1])
    np.testing.assert_allclose(counts.total().error_rate, 1 - (3 + 3) / (4 + 4))


def test_links_from_weights():
    weights = jnp.array([[0.5, 0.5, 0.0], [0.1, 0.2, 0.7], [0.0, 0.0, 0.0]])
    assert (measure.argmax_links(weights) == links("x.. ..x ...")).all()
    assert (measure.threshold_links(weights, 0.2) == links("xx. .xx ...")).all()


def test_the_diagonal_of_unequal_lengths():
    result = measure.diagonal_links(jnp.array([5, 2]), jnp.array([3, 4]), (5, 4))
    middles = [int((i + 0.5) / 5 * 3) for i in range(5)]
    assert result[0].argmax(-1).tolist() == middles
    assert result[1, :2].argmax(-1).tolist() == [1, 3]
    assert not result[1, 2:].any()


def test_random_links_stay_within_the_source_and_reach_all_of_it():
    result = measure.random_links(jnp.full(400, 3), (2, 5), rng=jax.random.key(0))
    assert (result.sum(-1) == 1).all()
    assert (result.mean((0, 1))[:3] > 0.25).all()
    assert not result[..., 3:].any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: measure.alignment_counts(links("xx x."), links("xx x."), mask=jnp.ones(1)),
            "mask has shape (1,), but (2,) is needed",
        ),
        (lambda: measure.threshold_links(jnp.ones((2, 2)), 0.0), "threshold=0.0 must be above 0"),
        (
            lambda: measure.alignment_counts(links("xx x."), links("xxx x..")),
            "links have shapes {'guess': (2, 2), 'sure': (2, 3)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, message, unchecked):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()

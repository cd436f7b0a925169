"""Simple alignments scored against human links and recounted as sets; see bible_alignments.md."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import measure
from attn_jax.tasks.translation.tsv import read_tsv

FILE = Path(__file__).with_name("bible_alignments.tsv")


@pytest.fixture(scope="module")
def verses():
    pairs, has_links, skipped = read_tsv(FILE)
    assert has_links
    assert not skipped
    return pairs


@pytest.fixture(scope="module")
def shape(verses):
    return max(len(v.target) for v in verses), max(len(v.source) for v in verses)


@pytest.fixture(scope="module")
def gold(verses, shape):
    links = np.zeros((len(verses), *shape), bool)
    for table, verse in zip(links, verses, strict=True):
        for place in verse.sure:
            table[place] = True
    return links


@pytest.fixture(scope="module")
def guesses(verses, shape):
    targets, sources = (
        jnp.array([len(side) for side in sides])
        for sides in zip(*((v.target, v.source) for v in verses), strict=True)
    )
    real = (jnp.arange(shape[0])[None] < targets[:, None])[..., None]
    weights = jnp.array(model_1(verses, shape))
    return {
        "random": measure.random_links(sources, shape, rng=jax.random.key(0)) & real,
        "diagonal": measure.diagonal_links(targets, sources, shape),
        "model 1": measure.argmax_links(weights),
        "model 1, threshold": measure.threshold_links(weights, 0.3),
    }


def model_1(verses, shape, rounds=10):
    """Return the posteriors of IBM Model 1 (Brown et al., 1993, 4.5) without a null word."""
    pairs = [([w.lower() for w in v.target], [w.lower() for w in v.source]) for v in verses]
    words = [sorted({w for pair in pairs for w in pair[side]}) for side in (0, 1)]
    number = [{w: i for i, w in enumerate(each)} for each in words]
    indices = [
        np.ix_([number[0][w] for w in target], [number[1][w] for w in source])
        for target, source in pairs
    ]
    table = np.full([len(each) for each in words], 1 / len(words[0]))
    for _ in range(rounds):
        counts = np.zeros_like(table)
        for cells in indices:
            likely = table[cells]
            np.add.at(counts, cells, likely / likely.sum(1, keepdims=True))
        table = counts / counts.sum(0)
    weights = np.zeros((len(verses), *shape))
    for each, cells in zip(weights, indices, strict=True):
        likely = table[cells]
        each[: likely.shape[0], : likely.shape[1]] = likely / likely.sum(1, keepdims=True)
    return weights


def as_set(tables):
    return {tuple(map(int, place)) for place in np.argwhere(tables)}


def test_a_verse_as_one_reads_it(verses):
    (verse,) = (v for v in verses if v.target_text.endswith("because God is love"))
    links = {(verse.target[t], verse.source[s]) for t, s in verse.sure}
    assert {("God", "θεόν"), ("God", "θεὸς"), ("is", "ἐστίν"), ("love", "ἀγάπη")} <= links
    assert ("because", "ὅτι") in links
    # In the Greek, love comes before is.
    assert (10, 11) in verse.sure
    assert (11, 10) in verse.sure


@pytest.mark.parametrize("name", ["random", "diagonal", "model 1", "model 1, threshold"])
def test_scores_are_those_counted_by_sets(guesses, gold, name):
    counts = measure.alignment_counts(guesses[name], jnp.array(gold)).total()
    guessed, sure = as_set(guesses[name]), as_set(gold)
    right = len(guessed & sure)
    unlinked = {link for link in guessed if not gold[link[:2]].any()}
    expected = [len(guessed), len(sure), right, right, len(unlinked)]
    assert [int(count) for count in counts] == expected
    np.testing.assert_allclose(counts.precision, right / len(guessed), rtol=1e-6)
    np.testing.assert_allclose(counts.recall, right / len(sure), rtol=1e-6)
    error_rate = 1 - 2 * right / (len(guessed) + len(sure))
    np.testing.assert_allclose(counts.error_rate, error_rate, rtol=1e-6)
    # If every link is sure, Och and Ney's error rate is 1 - F.
    np.testing.assert_allclose(counts.f_measure, 1 - error_rate, rtol=1e-6)


def test_words_without_gold_can_be_left_out(guesses, gold):
    linked = gold.any(-1)
    assert not linked.all()
    masked = measure.alignment_counts(guesses["model 1"], jnp.array(gold), mask=jnp.array(linked))
    counts = measure.alignment_counts(guesses["model 1"], jnp.array(gold)).linked_only()
    remaining = {(n, t, s) for n, t, s in as_set(guesses["model 1"]) if linked[n, t]}
    for each in (masked.total(), counts.total()):
        assert int(each.guessed) == len(remaining)
        assert int(each.guessed_sure) == len(remaining & as_set(gold))
        assert int(each.guessed_unlinked) == 0


def test_the_more_a_guess_knows_the_better_it_scores(guesses, gold):
    rates = {
        name: float(measure.alignment_counts(guess, jnp.array(gold)).total().error_rate)
        for name, guess in guesses.items()
    }
    assert rates["random"] > rates["diagonal"] > rates["model 1"]
    perfect = measure.alignment_counts(jnp.array(gold), jnp.array(gold)).total()
    assert float(perfect.error_rate) == 0

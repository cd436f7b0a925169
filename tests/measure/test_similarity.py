"""Links from the similarity of vectors, against loops and every matching of a small case."""

import itertools
import math
import re

import numpy as np
import pytest

from attn_jax import measure


def cosines(source, target):
    return [
        [
            (1 + sum(a * b for a, b in zip(t, s, strict=True)) / math.hypot(*t) / math.hypot(*s))
            / 2
            for s in source
        ]
        for t in target
    ]


def mutual(table):
    """Pairs that are each other's largest, by sorting."""
    rows, columns = range(len(table)), range(len(table[0]))
    best = [max(columns, key=lambda s: table[t][s]) for t in rows]
    return {(t, s) for t, s in enumerate(best) if max(rows, key=lambda t: table[t][s]) == t}


def draw(seed, sources, targets):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(sources, 3)), rng.normal(size=(targets, 3))


def as_set(links):
    return {(int(t), int(s)) for t, s in np.argwhere(links)}


@pytest.mark.parametrize("shape", [(5, 7), (7, 2), (1, 3)], ids=str)
def test_inter_links_words_that_are_each_others_most_similar(shape):
    source, target = draw(0, *shape)
    links = measure.similarity_links(source, target)
    assert as_set(links) == mutual(cosines(source, target))


@pytest.mark.parametrize("rounds", [2, 3])
def test_itermax_is_the_papers_algorithm(rounds):
    for seed in range(5):
        source, target = draw(seed, 5, 7)
        table, links = cosines(source, target), set()
        for _ in range(rounds):
            factors = np.ones((7, 5))
            for t, s in np.ndindex(7, 5):
                linked = any(x[0] == t for x in links), any(x[1] == s for x in links)
                factors[t, s] = {0: 1, 1: 0.9, 2: 0}[sum(linked)]
            scaled = (factors * np.array(table)).tolist()
            links |= {(t, s) for t, s in mutual(scaled) if scaled[t][s] > 0}
        result = measure.similarity_links(source, target, "itermax", rounds=rounds)
        assert as_set(result) == links
        assert len(links) > len(mutual(table))


def test_match_has_the_largest_sum_of_all_matchings():
    source, target = draw(1, 3, 5)
    table = cosines(source, target)
    best = max(
        itertools.permutations(range(5), 3), key=lambda p: sum(table[t][s] for s, t in enumerate(p))
    )
    links = measure.similarity_links(source, target, "match")
    assert as_set(links) == {(t, s) for s, t in enumerate(best)}


def test_sentences_without_words_have_no_links():
    for method in ("inter", "itermax", "match"):
        links = measure.similarity_links(np.ones((0, 3)), np.ones((2, 3)), method)
        assert links.shape == (2, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": np.ones((2, 4))}, "source has shape (2, 3) and target (2, 4)"),
        ({"method": "argmax"}, "method='argmax' must be one of inter, itermax, match"),
        ({"rounds": 0}, "rounds=0 must be at least 1"),
        ({"discount": 1.5}, "discount=1.5 from 0 to 1"),
    ],
    ids=["sizes", "method", "rounds", "discount"],
)
def test_what_does_not_fit_is_refused(changes, message, unchecked):
    with pytest.raises(ValueError, match=re.escape(message)):
        measure.similarity_links(**{"source": np.ones((2, 3)), "target": np.ones((2, 3))} | changes)

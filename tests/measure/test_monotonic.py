"""Alignments in order, compared with the best of all there are."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import measure


def every_path(targets, sources):
    """Yield the target token of each source token, for every alignment in order."""
    for starts in itertools.combinations(range(1, sources), targets - 1):
        yield np.searchsorted(starts, np.arange(sources), side="right")


@pytest.mark.parametrize(("targets", "sources"), [(1, 3), (2, 5), (3, 7), (5, 5)])
def test_it_is_the_best_of_all_alignments(targets, sources):
    weights = np.random.default_rng(0).normal(size=(11, targets, sources)).astype(np.float32)
    links = np.asarray(jax.jit(measure.monotonic_links)(jnp.asarray(weights)))
    assert (links.sum(-2) == 1).all()
    assert links.any(-1).all()
    for x, linked in zip(weights, links, strict=True):
        best = max(every_path(targets, sources), key=lambda path: x[path, range(sources)].sum())
        np.testing.assert_array_equal(linked.argmax(0), best)


def test_too_few_source_tokens():
    with pytest.raises(ValueError, match="2 source tokens for 3 target tokens"):
        measure.monotonic_links(jnp.ones((3, 2)))


def test_a_call_outside_of_jit_compiles_nothing_twice(count_programs):
    weights = jnp.linspace(0.0, 1.0, 33).reshape(3, 11)
    measure.monotonic_links(weights)
    assert count_programs(lambda: measure.monotonic_links(weights)) == 0

"""Soft erasure, against all sets of keys and their probabilities."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax

from attn_jax import hooks, measure

N, K, C = 5, 4, 3
RNG = np.random.default_rng(0)
WEIGHTS = softmax(RNG.normal(size=(N, K)), -1).astype(np.float32)
VOTES = (3 * RNG.normal(size=(K, C))).astype(np.float32)
TARGET = (WEIGHTS @ VOTES).argmax(-1)
MASK = np.ones((N, K), bool)
MASK[0, 3] = False
IMPORTANCE = RNG.normal(size=(N, K)).astype(np.float32)


def fn(weights):
    return hooks.tap("weights", weights) @ VOTES


def probability(keep):
    return softmax((WEIGHTS * keep) @ VOTES, -1)[np.arange(N), TARGET]


def expected(chance):
    """Add up the falls of all sets of keys, times their probabilities."""
    whole, fall = probability(MASK), np.zeros(N)
    for drawn in itertools.product([0, 1], repeat=K):
        drawn = np.array(drawn) + 0 * MASK
        # A key that does not exist is never drawn.
        chances = np.where(MASK, np.where(drawn == 1, chance, 1 - chance), drawn == 0)
        fall += chances.prod(-1) * np.maximum(whole - probability(drawn), 0)
    return fall / (whole - probability(0 * MASK))


@pytest.mark.parametrize("name", ["soft_sufficiency", "soft_comprehensiveness"])
def test_the_mean_over_draws_is_that_over_all_sets(name):
    size = np.where(MASK, np.abs(IMPORTANCE), 0)
    share = size / size.max(-1, keepdims=True)
    is_sufficiency = name == "soft_sufficiency"
    lost = expected(share if is_sufficiency else 1 - share)
    found = getattr(measure, name)(
        fn,
        jnp.asarray(WEIGHTS),
        jnp.asarray(IMPORTANCE),
        jnp.asarray(TARGET),
        attention="weights",
        mask=jnp.asarray(MASK),
        rng=jax.random.key(0),
        draws=20_000,
    )
    defined = probability(MASK) > probability(0 * MASK)
    assert np.isnan(np.asarray(found))[~defined].all()
    wanted = 1 - lost if is_sufficiency else lost
    np.testing.assert_allclose(np.asarray(found)[defined], wanted[defined], atol=0.03)
    assert defined.sum() >= 4

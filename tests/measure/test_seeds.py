"""The agreement of maps between seeds, against SciPy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.spatial import distance

from attn_jax import measure

SEEDS, N, K = 3, 11, 7


@pytest.fixture(scope="module")
def maps():
    common = jax.random.normal(jax.random.key(0), (1, N, K))
    own = jax.random.normal(jax.random.key(1), (SEEDS, N, K))
    return jax.nn.softmax(common + 0.7 * own)


def test_pairs_are_those_of_scipy(maps):
    result = measure.seed_agreement(maps, rng=jax.random.key(0))
    divergences, taus = [], []
    for one, other in itertools.combinations(np.asarray(maps, np.float64), 2):
        divergences.append(distance.jensenshannon(one, other, base=2, axis=1) ** 2)
        taus.append([stats.kendalltau(*rows).statistic for rows in zip(one, other, strict=True)])
    np.testing.assert_allclose(result.pair_divergences, np.mean(divergences, 1), rtol=1e-4)
    np.testing.assert_allclose(result.pair_taus, np.mean(taus, 1), rtol=1e-4)
    np.testing.assert_allclose(result.divergence, np.mean(divergences), rtol=1e-4)
    np.testing.assert_allclose(result.tau, np.mean(taus), rtol=1e-4)
    for interval, values in (
        (result.divergence_interval, divergences),
        (result.tau_interval, taus),
    ):
        of_examples = (np.mean(values, 0),)
        ends = stats.bootstrap(of_examples, np.mean, method="percentile", rng=0).confidence_interval
        np.testing.assert_allclose(interval, ends, atol=0.15 * (ends[1] - ends[0]))


def test_equal_maps_agree_and_reversed_ones_do_not():
    rows = jnp.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    same = measure.seed_agreement(jnp.stack([rows, rows]), rng=jax.random.key(0))
    assert [float(same.divergence), float(same.tau)] == [0, 1]
    opposite = measure.seed_agreement(jnp.stack([rows, rows[:, ::-1]]), rng=jax.random.key(0))
    assert opposite.tau == -1
    np.testing.assert_allclose(opposite.tau_interval, [-1, -1])


def test_padding_and_tied_maps_have_no_part_in_the_ranking(maps):
    mask = jnp.arange(K) < 4
    cut = jnp.where(mask, maps, 0)
    cut = cut / cut.sum(-1, keepdims=True)
    exists = jnp.broadcast_to(mask, (N, K))
    result = measure.seed_agreement(cut, exists, rng=jax.random.key(0))
    alone = measure.seed_agreement(cut[..., :4], rng=jax.random.key(0))
    np.testing.assert_allclose(result.tau, alone.tau, rtol=1e-6)
    tied = maps.at[0, 0].set(1 / K)
    result = measure.seed_agreement(tied, rng=jax.random.key(0))
    rest = measure.seed_agreement(tied[:, 1:], rng=jax.random.key(0))
    np.testing.assert_allclose(result.pair_taus[:2], rest.pair_taus[:2], rtol=1e-6)
    assert np.isfinite(result.tau)


def test_one_seed_or_no_distribution_is_refused(maps):
    with pytest.raises(ValueError, match="maps is from 1 seeds; two or more are needed"):
        measure.seed_agreement(maps[:1], rng=jax.random.key(0))
    with pytest.raises(ValueError, match="rows are not distributions"):
        measure.seed_agreement(2 * maps, rng=jax.random.key(0))

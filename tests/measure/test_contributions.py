"""Contributions, removal orders and overlaps, beside all subsets and all orders in NumPy."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import measure

N, K = 7, 5
DATA = np.random.default_rng(0)
SCORES, VALUES, MIX = (DATA.normal(size=s) for s in ((N, K), (N, K, 3), (3, 4)))
LENGTHS = np.array([5, 5, 5, 4, 3, 1, 2])
MASK = np.arange(K) < LENGTHS[:, None]
KEY = jax.random.key(0)


def score(keep, xp=np):
    """Return a score with pairs of keys that only matter together."""
    raised = xp.exp(xp.asarray(SCORES)) * keep
    weights = raised / (raised.sum(-1, keepdims=True) + 0.1)
    return xp.tanh(xp.einsum("nk,nkc->nc", weights, xp.asarray(VALUES)) @ (2 * MIX)).sum(-1)


worth = functools.partial(score, xp=jnp)
# All sets of keys at once: (sets, n), by the number whose bits are the keys.
SETS = np.array(list(itertools.product((False, True), repeat=K)))[:, ::-1]
WORTHS = np.stack([score(keep & MASK) for keep in SETS])


def of_set(example, keys):
    return WORTHS[sum(1 << k for k in keys), example]


def exact_shapley(example):
    keys = range(LENGTHS[example])
    values = np.zeros(K)
    for k in keys:
        for size in keys:
            for others in itertools.combinations([j for j in keys if j != k], size):
                gain = of_set(example, [*others, k]) - of_set(example, others)
                values[k] += gain / (len(keys) * math.comb(len(keys) - 1, size))
    return values


def falls(example, order):
    """Return the mean fall of the score as keys are removed in an order."""
    full = of_set(example, order)
    rest = [of_set(example, order[count:]) for count in range(1, len(order) + 1)]
    return full - np.mean(rest)


def order_of(places, length):
    return [int(k) for k in np.argsort(places)[:length]]


@pytest.fixture(scope="module")
def shapley():
    sample = functools.partial(measure.shapley_values, worth, permutations=512)
    return jax.jit(sample)(jnp.array(MASK), rng=KEY)


def test_shapley_values_are_the_mean_over_all_subsets(shapley):
    expected = np.stack([exact_shapley(n) for n in range(N)])
    # 512 orders of gains whose spread is about one.
    np.testing.assert_allclose(shapley, expected, atol=0.06)
    assert np.abs(expected).max() > 0.5


@pytest.mark.parametrize("permutations", [2, 6])
def test_contributions_share_out_the_score(permutations):
    result = measure.shapley_values(worth, jnp.array(MASK), rng=KEY, permutations=permutations)
    np.testing.assert_allclose(result.sum(-1), WORTHS[-1] - WORTHS[0], atol=1e-5)
    assert (np.asarray(result)[~MASK] == 0).all()


def test_two_orders_are_exact_for_pairs():
    pair = DATA.normal(size=(K, K))
    single = DATA.normal(size=K)

    def of_pairs(keep):
        keep = keep.astype(jnp.float32)
        return keep @ jnp.array(single) + jnp.einsum("nj,jk,nk->n", keep, jnp.array(pair), keep)

    result = measure.shapley_values(of_pairs, jnp.ones((3, K), bool), rng=KEY, permutations=2)
    both = (pair + pair.T) / 2
    expected = single + both.sum(-1)
    np.testing.assert_allclose(result, np.tile(expected, (3, 1)), atol=1e-5)


@pytest.mark.parametrize("permutations", [0, 3])
def test_an_odd_number_of_orders_is_refused(permutations):
    with pytest.raises(ValueError, match=f"permutations={permutations} must be even"):
        measure.shapley_values(worth, jnp.array(MASK), rng=KEY, permutations=permutations)


def test_the_area_is_the_mean_fall_of_the_score():
    places = measure.rank_keys(jnp.array(SCORES, jnp.float32), jnp.array(MASK), rng=KEY)
    expected = [falls(n, order_of(places[n], LENGTHS[n])) for n in range(N)]
    result = measure.aopc(worth, places, jnp.array(MASK))
    np.testing.assert_allclose(result, expected, atol=1e-5)
    # With half of the keys removed, rounded up, which is as many as a little less than half.
    half = [
        of_set(n, range(LENGTHS[n]))
        - of_set(n, order_of(places[n], LENGTHS[n])[math.ceil(LENGTHS[n] / 2) :])
        for n in range(N)
    ]
    result = measure.aopc(worth, places, jnp.array(MASK), shares=(0.45, 0.5))
    np.testing.assert_allclose(result, half, atol=1e-5)


def test_the_best_order_is_the_best_of_all():
    places = jax.jit(functools.partial(measure.best_order, worth))(jnp.array(MASK), rng=KEY)
    for n in range(N):
        best = max(falls(n, order) for order in itertools.permutations(range(LENGTHS[n])))
        assert falls(n, order_of(places[n], LENGTHS[n])) == pytest.approx(best, abs=1e-5)
        assert sorted(np.asarray(places[n])) == list(range(K))
        assert (np.asarray(places[n])[LENGTHS[n] :] >= LENGTHS[n]).all()


def test_the_best_order_for_some_numbers_of_keys():
    shares = (0.2, 0.6)
    places = measure.best_order(worth, jnp.array(MASK), rng=KEY, shares=shares)
    result = measure.aopc(worth, places, jnp.array(MASK), shares=shares)
    for n in range(N):
        removed = sorted({math.ceil(share * LENGTHS[n] - 1e-6) for share in shares})
        rest = [
            np.mean([of_set(n, order[count:]) for count in removed])
            for order in itertools.permutations(range(LENGTHS[n]))
        ]
        assert result[n] == pytest.approx(of_set(n, range(LENGTHS[n])) - min(rest), abs=1e-5)


def best_area(scores):
    """Return the largest mean fall over all orders, from the scores of all sets, 2**k of them."""
    keys = (len(scores) - 1).bit_length()

    @functools.cache
    def least(kept):
        """Return the least sum of scores as the other keys are removed one after another."""
        rest = (kept & ~(1 << key) for key in range(keys) if kept >> key & 1)
        return min((scores[each] + least(each) for each in rest), default=0)

    return scores[-1] - least(len(scores) - 1) / keys


@pytest.mark.parametrize("kind", ["renormalized", "scaled"])
def test_the_search_comes_close_to_the_best_of_all(kind):
    """Ten keys are 1,024 sets, four times as many as the search may try."""
    keys, count = 10, 6
    rng = np.random.default_rng(5)
    scores, values, mix = (rng.normal(size=s) for s in ((count, keys), (count, keys, 3), (3, 4)))

    def of_keys(keep, xp=jnp):
        raised = xp.exp(xp.asarray(scores)) * keep
        total = raised.sum(-1, keepdims=True) if kind == "renormalized" else xp.full((1, 1), 4.0)
        context = xp.einsum("nk,nkc->nc", raised / (total + 1e-9), xp.asarray(values))
        return xp.tanh(2 * context @ xp.asarray(mix)).sum(-1)

    sets = (np.arange(2**keys)[:, None] >> np.arange(keys) & 1) > 0
    every = np.stack([of_keys(keep, np) for keep in sets])
    best = [best_area(every[:, n]) for n in range(count)]
    mask = jnp.ones((count, keys), bool)
    places = jax.jit(functools.partial(measure.best_order, of_keys))(mask, rng=KEY)
    reached = measure.aopc(of_keys, places, mask)
    assert (reached <= np.array(best) + 1e-4).all()
    assert reached.sum() >= 0.95 * np.sum(best)


@pytest.mark.parametrize("runs", [0, 40], ids=["candidates_alone", "swaps"])
def test_the_search_is_never_worse_than_a_candidate_with_many_keys(runs):
    keys = 20
    rng = np.random.default_rng(1)
    values = jnp.array(rng.normal(size=(4, keys)), jnp.float32)
    mask = jnp.array(np.arange(keys) < np.array([20, 17, 13, 2])[:, None])
    pair = jnp.array(rng.normal(size=(keys, keys)), jnp.float32)

    def of_pairs(keep):
        keep = keep.astype(jnp.float32)
        return (keep * values).sum(-1) + jnp.einsum("nj,jk,nk->n", keep, pair, keep)

    candidates = jnp.stack(
        [measure.rank_keys(x, mask, rng=KEY) for x in (values, -values, values**2)]
    )
    places = measure.best_order(of_pairs, mask, rng=KEY, candidates=candidates, runs=runs)
    reached = measure.aopc(of_pairs, places, mask)
    others = jnp.stack([measure.aopc(of_pairs, each, mask) for each in candidates])
    assert (reached >= others.max(0) - 1e-4).all()
    assert (np.sort(places, -1) == np.arange(keys)).all()
    assert (np.where(mask, places, -1).max(-1) == mask.sum(-1) - 1).all()


def test_normalized_areas_by_hand():
    best = jnp.array([1.0, 1.0, 0.5, 0.2])
    result = measure.normalized_aopc(jnp.array([0.5, 1.0, 0.0, 0.2]), jnp.full(4, 0.2), best)
    np.testing.assert_allclose(result, [0.375, 1, -2 / 3, np.nan], atol=1e-6)


@pytest.mark.parametrize("keys", [2, 12, 13, 64, 500])
def test_shares_to_remove_begin_with_one_key(keys):
    counts = [math.ceil(share * keys - 1e-6) for share in measure.removal_shares(keys)]
    assert counts[0] == 1
    assert counts == sorted(counts)
    assert keys > 12 or counts == list(range(1, keys + 1))
    assert len(counts) <= 12


def test_overlap_and_claim_by_hand():
    values = jnp.array([[0.6, 0.3, 0.1], [0.4, 0.4, 0.2], [1.0, 0.0, 9.0], [0.5, 0.5, 0.0]])
    contributions = jnp.array([[0.0, 3.0, -1.0], [-1.0, 2.0, 1.0], [-4.0, 0.0, 5.0], [0, 0, 2]])
    mask = jnp.array([[True] * 3, [True] * 3, [True, True, False], [True, True, False]])
    overlap = measure.mass_overlap(values, contributions, mask)
    np.testing.assert_allclose(overlap, [0.4, 0.25 + 0.4 + 0.2, 1, np.nan], atol=1e-6)
    claim, contribution = measure.top_key_claim(values, contributions, mask)
    np.testing.assert_allclose(claim, [0.6, 0.4, 1, 0.5], atol=1e-6)
    np.testing.assert_allclose(contribution, [0, 0.375, 1, np.nan], atol=1e-6)

"""Intervals and tests of means, beside SciPy's and beside how often they are right."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from attn_jax import measure

DATA = np.random.default_rng(0)
BOUNDED = {
    "fair": (lambda rng, shape: rng.random(shape) < 0.5, 0.5),
    "rare": (lambda rng, shape: rng.random(shape) < 0.1, 0.1),
    "beta": (lambda rng, shape: rng.beta(0.2, 0.8, shape), 0.2),
}


def test_the_interval_is_students():
    values = DATA.normal(size=13).astype(np.float32)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    mean, *ends = measure.mean_interval(jnp.array(values), level=0.9)
    assert mean == pytest.approx(values.mean(), abs=1e-6)
    np.testing.assert_allclose(ends, expected, atol=1e-5)


def test_bounds_add_an_example_at_each_end():
    values = DATA.random(11).astype(np.float32)
    more = np.append(np.float64(values), [0, 1])
    error = stats.t.ppf(0.975, 10) * more.std(ddof=1) / np.sqrt(11)
    mean, low, high = measure.mean_interval(jnp.array(values), bounds=(0.0, 1.0))
    np.testing.assert_allclose(
        [mean, low, high], [values.mean(), more.mean() - error, more.mean() + error], atol=1e-5
    )


@pytest.mark.parametrize("bounds", [None, (-1.0, 1.0)], ids=["free", "bounded"])
def test_missing_values_are_left_out_also_of_a_batch(bounds):
    values = DATA.uniform(-0.5, 0.5, (3, 9)).astype(np.float32)
    values[0, :4], values[1, 1:] = np.nan, np.nan
    interval = functools.partial(measure.mean_interval, bounds=bounds)
    result = np.stack(jax.jit(jax.vmap(interval))(jnp.array(values)), -1)
    for row, given in zip(values, result, strict=True):
        np.testing.assert_allclose(given, interval(jnp.array(row[~np.isnan(row)])), atol=1e-6)
    np.testing.assert_allclose(result[1, 1:], bounds or (-np.inf, np.inf))


def test_no_example_says_nothing():
    mean, low, high = measure.mean_interval(jnp.full(3, jnp.nan), bounds=(0.0, 2.0))
    assert jnp.isnan(mean)
    assert (low, high) == (0, 2)


@functools.partial(jax.jit, static_argnames="bounds")
def ends(values, bounds=None):
    return jax.vmap(functools.partial(measure.mean_interval, bounds=bounds))(values)[1:]


def coverage(ends, mean):
    low, high = ends
    return ((low <= mean) & (mean <= high)).mean()


@pytest.mark.parametrize("count", [8, 32, 256])
@pytest.mark.parametrize("kind", BOUNDED)
def test_bounded_intervals_contain_the_mean_as_often_as_they_say(kind, count):
    draw, mean = BOUNDED[kind]
    values = draw(np.random.default_rng(1), (500, count)).astype(np.float32)
    assert coverage(ends(jnp.array(values), (0.0, 1.0)), mean) >= 0.93


def test_free_intervals_contain_the_mean_as_often_as_they_say():
    for count in (8, 32, 256):
        values = np.random.default_rng(2).normal(size=(500, count)).astype(np.float32)
        assert coverage(ends(jnp.array(values)), 0) >= 0.93


def test_eight_rare_events_are_too_few_for_the_bootstrap():
    draw, mean = BOUNDED["rare"]
    values = draw(np.random.default_rng(1), (500, 8)).astype(np.float32)
    resample = functools.partial(measure.bootstrap, rng=jax.random.key(0), draws=200)
    _, low, high = jax.jit(jax.vmap(resample))(jnp.array(values))
    # Four sets in ten have no event at all.
    assert coverage((low, high), mean) < 0.6


@pytest.mark.parametrize("shift", [0.0, 0.3, 1.0])
def test_flipping_signs_is_scipys_paired_permutation(shift):
    values = np.random.default_rng(3).normal(shift, 1, 9).astype(np.float32)
    exact = stats.permutation_test(
        (values,),
        lambda x, axis: x.mean(axis),
        permutation_type="samples",
        alternative="greater",
        n_resamples=np.inf,
        vectorized=True,
    ).pvalue
    flip = functools.partial(measure.sign_flip_test, draws=4000)
    result = jax.jit(flip)(jnp.array(values), rng=jax.random.key(1))
    # Four standard errors of a share among 4,000 draws.
    assert result == pytest.approx(exact, abs=4 * np.sqrt(0.25 / 4000))
    padded = jnp.append(jnp.array(values), jnp.nan)
    assert flip(padded, rng=jax.random.key(2)) == pytest.approx(exact, abs=0.032)


def test_the_smallest_p_value_is_that_of_one_draw():
    test = functools.partial(measure.sign_flip_test, rng=jax.random.key(0), draws=99)
    assert test(jnp.ones(64)) == pytest.approx(0.01)
    assert test(-jnp.ones(64)) == 1
    assert test(jnp.full(4, jnp.nan)) == 1


def test_chance_alone_is_below_a_twentieth_one_time_in_twenty():
    values = np.random.default_rng(4).normal(size=(1000, 12)).astype(np.float32)
    test = functools.partial(measure.sign_flip_test, rng=jax.random.key(3), draws=500)
    p_values = jax.jit(jax.vmap(test))(jnp.array(values))
    assert (p_values <= 0.05).mean() == pytest.approx(0.05, abs=0.02)


def test_holm_by_hand():
    p_values = jnp.array([0.02, jnp.nan, 0.001, 0.4, 0.015, 0.03])
    # Sorted, times five to one: .005, .06, .06, .06, .4, none below the one before.
    expected = [0.06, np.nan, 0.005, 0.4, 0.06, 0.06]
    np.testing.assert_allclose(jax.jit(measure.holm)(p_values), expected, atol=1e-6)
    np.testing.assert_allclose(measure.holm(jnp.array([0.7, 0.6])), [1, 1])

"""Top-k and temperature."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import ops

RNG = np.random.default_rng(0)
SCORES = np.float32(RNG.normal(size=(3, 5, 7)))
MASK = RNG.random((3, 5, 7)) < 0.6
MASK[1, 2] = False


@pytest.mark.parametrize("top", [1, 3, 7, 11])
def test_only_the_largest_are_normalised(top):
    weights = jax.jit(functools.partial(ops.top_k_softmax, top_k=top))(
        SCORES, mask=jnp.asarray(MASK)
    )
    expected = np.zeros(SCORES.shape)
    for row in np.ndindex(SCORES.shape[:-1]):
        seen = np.flatnonzero(MASK[row])
        kept = sorted(seen, key=lambda j, row=row: -SCORES[row][j])[:top]
        e = np.exp(SCORES[row][kept].astype(float))
        expected[row][kept] = e / e.sum()
    np.testing.assert_allclose(weights, expected, atol=1e-6)


def test_of_equal_scores_exactly_so_many_are_kept():
    weights = ops.top_k_softmax(jnp.zeros((2, 5)), 2)
    np.testing.assert_array_equal(weights, [[0.5, 0.5, 0, 0, 0]] * 2)


def test_gradients_reach_the_kept_only():
    def total(scores):
        weights = ops.top_k_softmax(scores, 2, mask=jnp.asarray(MASK))
        return (weights * jnp.arange(7.0).reshape(1, 1, 7)).sum()

    gradient = np.asarray(jax.jit(jax.grad(total))(SCORES))
    kept = np.asarray(ops.top_k_softmax(jnp.asarray(SCORES), 2, mask=jnp.asarray(MASK))) > 0
    assert np.all(np.isfinite(gradient))
    assert not np.any(gradient[~kept])
    assert np.any(gradient[kept])


@pytest.mark.parametrize("normalizer", [ops.softmax, ops.sparsemax, ops.sigmoid])
@pytest.mark.parametrize("temperature", [0.3, 4])
def test_a_temperature_divides_the_scores(normalizer, temperature):
    mask = jnp.asarray(MASK)
    warm = ops.with_temperature(normalizer, temperature)(jnp.asarray(SCORES), mask=mask)
    expected = normalizer(jnp.asarray(SCORES / np.float32(temperature)), mask=mask)
    np.testing.assert_allclose(warm, expected, atol=1e-6)
    assert isinstance(ops.with_temperature(normalizer, temperature), ops.Normalizer)


def test_a_temperature_has_gradients_even_where_scores_are_hidden():
    scores = jnp.array([[0.0, 1.0, -jnp.inf], [-jnp.inf] * 3])

    def first(temperature):
        return ops.with_temperature(ops.softmax, temperature)(scores)[0, 0]

    step = 1e-2
    difference = (first(2 + step) - first(2 - step)) / (2 * step)
    np.testing.assert_allclose(jax.grad(first)(2.0), difference, rtol=1e-3)


def test_each_head_may_have_its_own_temperature():
    temperatures = jnp.array([0.5, 1.0, 2.0]).reshape(3, 1, 1)
    weights = ops.with_temperature(ops.softmax, temperatures)(jnp.asarray(SCORES))
    for head, temperature in enumerate((0.5, 1.0, 2.0)):
        expected = ops.softmax(jnp.asarray(SCORES[head] / np.float32(temperature)))
        np.testing.assert_allclose(weights[head], expected, atol=1e-6)


def test_what_is_out_of_range_is_refused():
    with pytest.raises(ValueError, match="top_k=0 must be at least 1"):
        ops.top_k_softmax(jnp.zeros(3), 0)
    with pytest.raises(ValueError, match="temperature=0 must be positive"):
        ops.with_temperature(ops.softmax, 0)
    with pytest.raises(ValueError, match=r"temperature of shape \(4,\) does not broadcast"):
        ops.with_temperature(ops.softmax, jnp.ones(4))(jnp.zeros((2, 3)))

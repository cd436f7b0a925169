"""Sigmoid, exponential and softmax with a sink, against their formulas one number at a time."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import ops

RNG = np.random.default_rng(0)
SCORES = np.float32(3 * RNG.normal(size=(3, 5, 7)))
MASK = RNG.random((3, 5, 7)) < 0.6
MASK[1, 2] = False
ROWS = np.float32(RNG.normal(size=(3, 1, 1)))


def sink(row, number):
    total = math.exp(number) + sum(map(math.exp, row))
    return [math.exp(s) / total for s in row]


# name: (function, its weights of one row of visible scores, a number for each head)
CASES = {
    "sigmoid": (ops.sigmoid, lambda row, b: [1 / (1 + math.exp(-s - b)) for s in row]),
    "exponential": (
        lambda scores, number, *, mask=None: ops.exponential(scores, mask=mask),
        lambda row, _: [math.exp(s) for s in row],
    ),
    "softmax_with_sink": (ops.softmax_with_sink, sink),
}
each = pytest.mark.parametrize("name", CASES)


@each
def test_it_is_the_formula(name):
    function, of_row = CASES[name]
    expected = np.zeros(SCORES.shape)
    for row in np.ndindex(SCORES.shape[:-1]):
        seen = MASK[row]
        expected[row][seen] = of_row(SCORES[row][seen].tolist(), float(ROWS[row[0], 0, 0]))
    weights = jax.jit(function)(SCORES, jnp.asarray(ROWS), mask=jnp.asarray(MASK))
    np.testing.assert_allclose(weights, expected, rtol=1e-5)


@each
def test_gradients_follow_the_differences(name):
    function, mask = CASES[name][0], jnp.asarray(MASK)
    toward = np.float32(RNG.normal(size=SCORES.shape))

    @jax.jit
    def total(scores, number):
        return (function(scores, number, mask=mask) * toward).sum()

    along = np.float32(RNG.normal(size=SCORES.shape)), np.float32(RNG.normal(size=ROWS.shape))
    slope = jax.jvp(total, (jnp.asarray(SCORES), jnp.asarray(ROWS)), tuple(map(jnp.asarray, along)))
    up, down = (total(SCORES + t * along[0], ROWS + t * along[1]) for t in (2e-3, -2e-3))
    np.testing.assert_allclose(slope[1], (up - down) / 4e-3, rtol=1e-2, atol=1e-2)


@each
def test_rows_without_keys_are_zero_with_zero_gradients(name):
    function = CASES[name][0]
    scores = jnp.full((2, 1, 3), -jnp.inf)

    def total(scores, number):
        weights = function(scores, number)
        return (weights**2).sum() + weights.sum()

    value, gradients = jax.value_and_grad(total, argnums=(0, 1))(scores, jnp.ones((2, 1, 1)))
    assert value == 0
    for gradient in gradients:
        np.testing.assert_array_equal(gradient, 0)
    assert function(jnp.zeros((2, 1, 0)), 0.0).shape == (2, 1, 0)


@each
def test_half_precision_is_computed_in_float32(name):
    function = CASES[name][0]
    low = jnp.asarray(SCORES, jnp.bfloat16)
    weights = function(low, 0.5)
    assert weights.dtype == jnp.float32
    np.testing.assert_allclose(weights, function(low.astype(jnp.float32), 0.5), rtol=1e-6)


def test_a_sink_of_minus_infinity_is_none():
    weights = ops.softmax_with_sink(jnp.asarray(SCORES), -math.inf, mask=jnp.asarray(MASK))
    softmax = ops.softmax(jnp.asarray(SCORES), mask=jnp.asarray(MASK))
    np.testing.assert_allclose(weights, softmax, atol=1e-6)


def test_large_scores_overflow_neither():
    scores = jnp.array([1e4, 1e4, -1e4])
    np.testing.assert_allclose(ops.softmax_with_sink(scores), [0.5, 0.5, 0], atol=1e-6)
    np.testing.assert_allclose(ops.sigmoid(scores), [1, 1, 0], atol=1e-6)


@pytest.mark.parametrize("function", [ops.sigmoid, ops.softmax_with_sink])
def test_a_number_that_fits_no_row_is_refused(function):
    with pytest.raises(ValueError, match=r"of shape \(7,\) does not broadcast .*\(3, 5, 1\)"):
        function(jnp.asarray(SCORES), jnp.zeros(7))

"""Sparsemax and entmax against bisection in float64, optax and the gradient of the definition."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attn_jax import ops

RNG = np.random.default_rng(0)
ALPHAS = (1.0, 1.0001, 1.1, 1.3, 1.5, 1.75, 2.0, 2.5)
entmax = jax.jit(ops.entmax)
entmax_jvp = jax.jit(lambda primals, tangents: jax.jvp(ops.entmax, primals, tangents))
# At alpha = 1.5 and 2 there is a quicker way.
QUICK = {1.5: jax.jit(ops.entmax15), 2.0: jax.jit(ops.sparsemax)}


def bisected(scores, alpha, mask=None):
    """The definition, in float64: the c at which the weights sum to one, by halving."""
    scores = np.asarray(scores, np.float64)
    scores = np.where(True if mask is None else mask, scores, -np.inf)
    out = np.zeros_like(scores)
    for row in np.ndindex(scores.shape[:-1]):
        seen = scores[row] > -np.inf
        s = scores[row][seen]
        if not len(s):
            continue

        def weights(c, s=s):
            if alpha == 1:
                return np.exp(s - c)
            return np.maximum(1 + (alpha - 1) * (s - c), 0) ** (1 / (alpha - 1))

        low, high = s.max(), s.max() + np.log(len(s)) + 1e-9
        for _ in range(90):
            middle = (low + high) / 2
            low, high = (middle, high) if weights(middle).sum() > 1 else (low, middle)
        out[row][seen] = weights(low)
    return out


@pytest.mark.parametrize("scale", [0.01, 1, 30, 1000])
@pytest.mark.parametrize("alpha", ALPHAS)
def test_it_is_the_definition(alpha, scale):
    scores = jnp.asarray(scale * RNG.normal(size=(3, 5, 17)), jnp.float32)
    mask = RNG.random((3, 5, 17)) < 0.6
    mask[1, 2] = False
    expected = bisected(scores, alpha, mask)
    given_alpha = functools.partial(entmax, alpha=alpha)
    for function in filter(None, (given_alpha, QUICK.get(alpha))):
        weights = function(scores, mask=jnp.asarray(mask))
        np.testing.assert_allclose(weights, expected, atol=1e-5)
        assert not np.any(weights[~mask])
        if function is not given_alpha or alpha < 2.1:
            # What is zero by definition, and by more than rounding, is exactly zero.
            margin = bisected(scores + 1e-4 * scale, alpha, mask) == 0
            assert not np.any(weights[margin & (expected == 0)])


def test_sparsemax_is_the_projection_on_the_simplex_of_optax():
    scores = jnp.asarray(3 * RNG.normal(size=(11, 7)), jnp.float32)
    project = jax.vmap(optax.projections.projection_simplex)
    np.testing.assert_allclose(ops.sparsemax(scores), project(scores), atol=1e-6)
    cotangent = jnp.asarray(RNG.normal(size=(11, 7)), jnp.float32)
    ours, theirs = (
        jax.jit(lambda s, f=f: jax.vjp(f, s)[1](cotangent)[0])(scores)
        for f in (ops.sparsemax, project)
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_gradients_follow_the_differences_of_the_definition(alpha):
    scores, along = np.float32(RNG.normal(size=(2, 7, 5))).astype(float)
    step = 1e-6
    tangents = jnp.asarray(along, jnp.float32), jnp.ones(())
    differences = (
        bisected(scores + step * along, alpha) - bisected(scores - step * along, alpha)
    ) / (2 * step)
    primals = jnp.asarray(scores, jnp.float32), jnp.float32(alpha)
    tolerance = 1e-4 if alpha <= 2 else 0.1
    _, moved = entmax_jvp(primals, (tangents[0], jnp.zeros(())))
    np.testing.assert_allclose(moved, differences, atol=tolerance)
    if alpha in QUICK:
        _, moved = jax.jvp(QUICK[alpha], primals[:1], tangents[:1])
        np.testing.assert_allclose(moved, differences, atol=1e-5)
    _, moved = entmax_jvp(primals, (jnp.zeros((7, 5)), tangents[1]))
    # At alpha = 1 there is one side only.
    low, high = (alpha if alpha == 1 else alpha - 1e-5), alpha + 1e-5
    differences = (bisected(scores, high) - bisected(scores, low)) / (high - low)
    np.testing.assert_allclose(moved, differences, atol=tolerance)


@pytest.mark.parametrize("alpha", [1.0, 1.3, 1.5, 2.0, 2.5])
def test_rows_without_keys_are_zero_with_zero_gradients(alpha):
    scores = jnp.full((2, 5), -jnp.inf).at[1].set(0.5)
    for function in filter(None, (lambda s: entmax(s, alpha), QUICK.get(alpha))):
        weights, pull = jax.vjp(function, scores)
        np.testing.assert_allclose(weights, [[0] * 5, [0.2] * 5], atol=1e-7)
        (gradient,) = pull(jnp.arange(10.0).reshape(2, 5))
        np.testing.assert_array_equal(gradient[0], 0)
        assert np.all(np.isfinite(gradient))
        assert function(jnp.zeros((2, 0))).shape == (2, 0)


def test_each_head_may_have_its_own_alpha():
    scores = jnp.asarray(RNG.normal(size=(2, 3, 5, 7)), jnp.float32)
    alpha = jnp.array([1.0, 1.5, 2.0]).reshape(3, 1, 1)
    weights = entmax(scores, alpha)
    for head, function in enumerate((ops.softmax, ops.entmax15, ops.sparsemax)):
        np.testing.assert_allclose(weights[:, head], function(scores[:, head]), atol=1e-6)
    gradient = jax.jit(jax.grad(lambda a: (ops.entmax(scores, a) ** 2).sum()))(alpha)
    assert gradient.shape == (3, 1, 1)
    assert np.all(np.asarray(gradient) > 0)  # sparser rows have larger squares


def test_second_derivatives_are_finite():
    scores = jnp.array([1.0, 0.9, -3.0])
    for function in (ops.sparsemax, ops.entmax15, lambda s: ops.entmax(s, 1.3)):
        hessian = jax.jit(jax.hessian(lambda s, f=function: f(s)[0]))
        assert np.all(np.isfinite(hessian(scores)))


def test_it_maps_and_lowers_to_half_precision():
    scores = jnp.asarray(RNG.normal(size=(5, 7)), jnp.bfloat16)
    for function in (*QUICK.values(), entmax):
        weights = function(scores)
        assert weights.dtype == jnp.float32
        np.testing.assert_allclose(weights, function(scores.astype(jnp.float32)), atol=1e-6)
        np.testing.assert_allclose(jax.vmap(function)(scores), weights, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(
    scores=st.lists(st.floats(-1e4, 1e4, width=32), min_size=6, max_size=6),
    alpha=st.floats(1, 2, width=32),
    seed=st.integers(0, 99),
)
def test_rows_sum_to_one_or_are_zero_and_follow_their_keys(scores, alpha, seed):
    rng = np.random.default_rng(seed)
    scores, mask, order = np.float32(scores), rng.random(6) < 0.5, rng.permutation(6)
    for function in (functools.partial(entmax, alpha=jnp.float32(alpha)), *QUICK.values()):
        weights = np.asarray(function(jnp.asarray(scores), mask=jnp.asarray(mask)))
        assert np.all(weights[~mask] == 0)
        assert np.all(weights >= 0)
        assert weights.sum() == pytest.approx(1 if mask.any() else 0, abs=1e-6)
        moved = function(jnp.asarray(scores[order]), mask=jnp.asarray(mask[order]))
        np.testing.assert_allclose(weights[order], moved, atol=2e-6)


def test_what_is_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"alpha=0.5 must be at least 1; 1 is softmax"):
        ops.entmax(jnp.zeros(3), 0.5)
    with pytest.raises(ValueError, match=r"alpha of shape \(4,\) does not broadcast"):
        ops.entmax(jnp.zeros((2, 3)), jnp.ones(4))

"""Shuffled parameters, and the chance level of rank correlations."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen
from scipy import stats

from attn_jax import hooks, measure

KEY = jax.random.key(0)
KERNEL = jnp.array(np.random.default_rng(0).normal(size=(3, 5)), jnp.float32)
OTHER = jnp.array(np.random.default_rng(1).normal(size=(5, 3)), jnp.float32)
BIAS = jnp.arange(5.0)


def model(x):
    def layer(carry, _):
        inner = jax.jit(lambda x: hooks.tap("scores", x @ KERNEL + BIAS[None]))
        return jax.checkpoint(lambda x: jax.nn.softmax(inner(x)) @ OTHER)(carry), None

    return jax.lax.scan(layer, x, None, 2)[0]


def test_learned_arrays_are_shuffled_wherever_they_are():
    shuffled = measure.randomized(model, jnp.eye(3), rng=KEY)
    result, values = hooks.capture(shuffled, "*scores")(jnp.eye(3))
    ((name, scores),) = values.items()
    assert {name} == set(hooks.capture(model, "*scores")(jnp.eye(3))[1])
    # With one-hot inputs the first layer's scores are the kernel and the bias, which stays.
    kernel = np.asarray(scores[0] - BIAS[None])
    np.testing.assert_allclose(np.sort(kernel, axis=None), np.sort(KERNEL, axis=None), atol=1e-5)
    assert np.abs(kernel - KERNEL).max() > 0.1
    assert np.abs(result - model(jnp.eye(3))).max() > 1e-2
    np.testing.assert_allclose(jax.jit(shuffled)(jnp.eye(3)), result, atol=1e-6)


def test_a_module_with_its_variables_can_be_shuffled():
    module = linen.Dense(7)
    variables = module.init(KEY, jnp.eye(4))
    fn = functools.partial(module.apply, variables)
    result = measure.randomized(fn, jnp.eye(4), rng=KEY)(jnp.eye(4))
    np.testing.assert_allclose(
        np.sort(result, axis=None), np.sort(variables["params"]["kernel"], axis=None), atol=1e-6
    )


def test_an_array_that_is_used_twice_is_shuffled_alike():
    fn = measure.randomized(
        lambda x: (x @ KERNEL, jax.jit(lambda x: x @ KERNEL)(x)), jnp.eye(3), rng=KEY
    )
    np.testing.assert_array_equal(*fn(jnp.eye(3)))


def test_a_model_without_learned_arrays_is_refused():
    with pytest.raises(ValueError, match=r"functools.partial\(model.apply, variables\)"):
        measure.randomized(lambda x: x + BIAS, jnp.ones(5), rng=KEY)


def test_the_chance_level_is_that_of_all_orders():
    rng = np.random.default_rng(2)
    first, second = rng.normal(size=(2, 3, 6)).astype(np.float32)
    mask = np.arange(6) < np.array([6, 5, 4])[:, None]
    agree = functools.partial(measure.ranking_agreement, rng=KEY, draws=2000)
    result = jax.jit(agree)(jnp.array(first), jnp.array(second), jnp.array(mask))
    for n, length in enumerate((6, 5, 4)):
        tau = stats.kendalltau(first[n, :length], second[n, :length]).statistic
        every = [
            stats.kendalltau(order, second[n, :length]).statistic
            for order in itertools.permutations(first[n, :length])
        ]
        assert result.tau[n] == pytest.approx(tau, abs=1e-6)
        assert result.p_value[n] == pytest.approx(np.mean(np.array(every) > tau - 1e-9), abs=0.04)
        # The values that a correlation can take lie 0.13 apart or more: one step of them is noise.
        level = np.quantile(every, 0.975, method="inverted_cdf")
        assert result.chance[n] == pytest.approx(level, abs=0.14)


def test_no_number_is_no_agreement():
    result = measure.ranking_agreement(
        jnp.ones((1, 4)), jnp.arange(4.0)[None], jnp.ones((1, 4), bool), rng=KEY, draws=9
    )
    assert jnp.isnan(result.tau[0])
    assert result.p_value[0] == 1

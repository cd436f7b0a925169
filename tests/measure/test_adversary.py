"""The adversarial search beside a fine grid over all distributions."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import hooks, measure

N, C = 40, 3
STEPS = {3: 80, 4: 26}


def model(inputs):
    scores, values, mix, scale = inputs
    weights = hooks.tap("look.weights", jax.nn.softmax(scores))
    return scale * jnp.tanh(2 * jnp.einsum("nk,nkc->nc", weights, values)) @ mix


def softmax(x):
    raised = np.exp(x - x.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


def output(weights, inputs):
    _, values, mix, scale = inputs
    return softmax(scale * np.tanh(2 * np.einsum("...nk,nkc->...nc", weights, values)) @ mix)


def entropy(x):
    return -(x * np.log2(np.where(x > 0, x, 1))).sum(-1)


def furthest(inputs, values, tolerance):
    """Return the largest divergence among all points of a grid that keep the output."""
    keys = values.shape[1]
    points = np.array(
        [p for p in itertools.product(range(STEPS[keys] + 1), repeat=keys) if sum(p) == STEPS[keys]]
    )
    points = np.repeat(points[:, None] / STEPS[keys], len(values), 1)
    change = np.abs(output(points, inputs) - output(values, inputs)).sum(-1) / 2
    divergence = entropy((points + values) / 2) - (entropy(points) + entropy(values)) / 2
    return np.where(change <= tolerance, divergence, 0).max(0)


@functools.cache
def program(tolerance):
    def search(inputs, probabilities, values):
        return measure.adversarial_weights(
            model,
            inputs,
            probabilities,
            values,
            rng=jax.random.key(0),
            attention="look.weights",
            mask=jnp.ones(values.shape, bool),
            tolerance=tolerance,
        )

    return jax.jit(search)


@pytest.mark.parametrize(("scale", "tolerance"), [(1, 0.05), (1, 0.005), (16, 0.005), (64, 0.05)])
@pytest.mark.parametrize("keys", STEPS)
def test_the_search_reaches_the_optimum_of_a_grid(keys, scale, tolerance):
    rng = np.random.default_rng(keys)
    scores = rng.normal(size=(N, keys)) * rng.choice([0.5, 2, 4], (N, 1))
    inputs = scores, rng.normal(size=(N, keys, C)), rng.normal(size=(C, 2)), np.float64(scale)
    values = softmax(scores)
    best = furthest(inputs, values, tolerance)
    arrays = jax.tree.map(lambda x: jnp.array(x, jnp.float32), inputs)
    result = program(tolerance)(
        arrays, jnp.array(output(values, inputs), jnp.float32), jnp.array(values, jnp.float32)
    )
    assert (result.change <= tolerance).all()
    change = np.abs(output(np.float64(result.weights), inputs) - output(values, inputs)).sum(-1) / 2
    assert (change <= tolerance + 1e-4).all()
    assert (result.divergence >= 0.95 * best).mean() >= 0.95
    assert best.mean() > 0.2

"""Reducers, by hand and by blocks of rows."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.hooks import entropy, mean_heads, row_blocked, top_k

WEIGHTS = jax.nn.softmax(jax.random.normal(jax.random.key(0), (2, 3, 7, 5)))


def test_entropy_by_hand():
    weights = jnp.array([[0.25] * 4, [1.0, 0, 0, 0], [0.5, 0.5, 0, 0], [0, 0, 0, 0]])
    wanted = [math.log(4), 0, math.log(2), 0]
    np.testing.assert_allclose(entropy(weights), wanted, rtol=1e-6)
    assert jnp.isfinite(jax.grad(lambda w: entropy(w).sum())(weights)).all()


def test_entropy_is_float32_at_least():
    assert entropy(WEIGHTS.astype(jnp.bfloat16)).dtype == jnp.float32


def test_top_k_and_mean_heads():
    values, indices = top_k(2)(WEIGHTS)
    order = np.argsort(-np.asarray(WEIGHTS), axis=-1)[..., :2]
    np.testing.assert_array_equal(indices, order)
    np.testing.assert_array_equal(values, np.take_along_axis(np.asarray(WEIGHTS), order, -1))
    np.testing.assert_allclose(mean_heads(WEIGHTS), np.asarray(WEIGHTS).mean(1), rtol=1e-6)


@pytest.mark.parametrize("block", [1, 2, 3, 7, 100])
@pytest.mark.parametrize(
    "reducer", [entropy, top_k(2), mean_heads], ids=["entropy", "top_k", "mean"]
)
def test_blocks_change_nothing(block, reducer):
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6)  # noqa: E731
    jax.tree.map(close, row_blocked(reducer, block)(WEIGHTS), reducer(WEIGHTS))


def test_a_reducer_that_mixes_queries_is_refused():
    with pytest.raises(ValueError, match="keeps the axis of the queries"):
        row_blocked(lambda weights: weights.sum((-1, -2)), 2)(WEIGHTS)


def test_a_block_holds_at_least_one_query():
    with pytest.raises(ValueError, match="block=0 must be a positive number"):
        row_blocked(entropy, 0)

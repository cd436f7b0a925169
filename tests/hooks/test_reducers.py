"""Reducers, by hand and by blocks of rows."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.hooks import capture, entropy, mean_heads, row_blocked, tap_derived, top_k

WEIGHTS = jax.nn.softmax(jax.random.normal(jax.random.key(0), (2, 3, 7, 5)))


def test_entropy_by_hand():
    weights = jnp.array([[0.25] * 4, [1.0, 0, 0, 0], [0.5, 0.5, 0, 0], [0, 0, 0, 0]])
    expected = [math.log(4), 0, math.log(2), 0]
    np.testing.assert_allclose(entropy(weights), expected, rtol=1e-6)
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


def test_integers_are_not_truncated():
    heads = jnp.array([[[0, 3]], [[1, 0]]])
    np.testing.assert_allclose(mean_heads(heads), [[0.5, 1.5]])
    one_hot = jnp.array([[0, 1, 0]])
    np.testing.assert_array_equal(entropy(one_hot), [0.0])
    values, indices = top_k(1)(one_hot)
    assert (values.tolist(), indices.tolist()) == ([[1]], [[1]])


def test_integers_become_float64_where_that_is_the_default():
    with (jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64)(True):
        assert entropy(jnp.array([[0, 1, 0]])).dtype == jnp.float64
        assert mean_heads(jnp.ones((2, 3, 5), int)).dtype == jnp.float64


@pytest.mark.parametrize("shape", [(0, 3, 7, 5), (2, 3, 0, 5)], ids=["batch", "queries"])
@pytest.mark.parametrize("reducer", [entropy, top_k(2), mean_heads], ids=["entropy", "top", "mean"])
def test_empty_weights_give_empty_results(shape, reducer):
    result, blocked = reducer(jnp.ones(shape)), row_blocked(reducer, 2)(jnp.ones(shape))
    for array in jax.tree.leaves((result, blocked)):
        assert array.size == 0
        assert array.shape[0] == shape[0]
        assert shape[2] in array.shape


def test_no_keys_have_no_entropy():
    np.testing.assert_array_equal(entropy(jnp.ones((3, 0))), [0.0, 0.0, 0.0])


@pytest.mark.parametrize(
    ("number", "message"), [(-1, "top_k=-1 must be"), (6, "top_k=6 must be at most .* keys, 5")]
)
def test_top_k_refuses_more_keys_than_there_are(number, message):
    with pytest.raises(ValueError, match=message):
        top_k(number)(WEIGHTS)


def test_top_k_names_its_argument_like_all_others():
    assert top_k(top_k=2)(WEIGHTS)[0].shape == (2, 3, 7, 2)
    with pytest.raises(TypeError, match=r"takes top_k=\.\.\., which used to be called k"):
        top_k(k=2)


@dataclasses.dataclass(frozen=True)
class Softmax:
    """A call that hands out its context and derives its weights."""

    leaves = ("weights", "context")
    observations = ()

    def derive(self, leaf, operands):
        if leaf == "context":
            return operands["context"]
        return jax.nn.softmax(operands["query"] @ operands["key"].T)

    def rewrite(self, leaf, edited, operands):
        return operands | {leaf: edited}

    def rows(self, operands, start, size):
        rows = jax.lax.dynamic_slice_in_dim(operands["query"], start, size)
        return operands | {"query": rows}


@pytest.mark.parametrize("num_queries", [0, 1, 3, 7])
def test_blocks_of_a_derived_leaf_change_nothing(num_queries):
    query, key = WEIGHTS[0, 0, :num_queries], WEIGHTS[1, 1]

    def fn(query):
        return tap_derived(Softmax(), query @ key.T @ key, {"query": query, "key": key})

    captured = capture(fn, {"weights": row_blocked(entropy, 3)})(query)[1]["weights"]
    wide = np.asarray(query, np.float64) @ np.asarray(key, np.float64).T
    weights = np.exp(wide) / np.exp(wide).sum(-1, keepdims=True)
    np.testing.assert_allclose(captured, -(weights * np.log(weights)).sum(-1), rtol=1e-5)

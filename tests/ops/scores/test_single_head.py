"""The four single-head attentions against NumPy loops written from their papers."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from attn_jax import ops

B, Q, K, D_Q, D_K, D_V, A = 2, 3, 5, 7, 11, 13, 17
RNG = np.random.default_rng(0)


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


ADDITIVE = {"w_query": normal(D_Q, A), "w_key": normal(D_K, A), "v": normal(A), "b": normal(A)}
LAYERS = [
    (normal(D_Q + D_K, A), normal(A)),
    (normal(A, 19), normal(19)),
    (normal(19, 1), normal(1)),
]


def dot(q, k):
    return sum(a * b for a, b in zip(q, k, strict=True))


def additive(q, k):
    w_query, w_key, v, b = (np.asarray(ADDITIVE[name]) for name in ("w_query", "w_key", "v", "b"))
    hidden = [math.tanh(dot(q, w_query[:, i]) + dot(k, w_key[:, i]) + b[i]) for i in range(A)]
    return dot(v, hidden)


def feed_forward(q, k):
    x = np.concatenate([q, k])
    for i, layer in enumerate(LAYERS):
        kernel, bias = map(np.asarray, layer)
        x = np.array([dot(x, kernel[:, j]) + bias[j] for j in range(len(bias))])
        x = np.maximum(x, 0) if i < len(LAYERS) - 1 else x
    return x[0]


# name: (function, its parameters, the paper's score of one pair, features of query and key)
FAMILY = {
    "dot": (ops.dot_product_attention, {}, dot, (D_K, D_K)),
    "scaled": (
        ops.scaled_dot_product_attention,
        {},
        lambda q, k: dot(q, k) / math.sqrt(D_K),
        (D_K, D_K),
    ),
    "additive": (ops.additive_attention, ADDITIVE, additive, (D_Q, D_K)),
    "feed_forward": (ops.feed_forward_attention, {"layers": LAYERS}, feed_forward, (D_Q, D_K)),
}
each = pytest.mark.parametrize("name", FAMILY)


def inputs(name, dtype=np.float32):
    d_q, d_k = FAMILY[name][3]
    return [x.astype(dtype) for x in (normal(B, Q, d_q), normal(B, K, d_k), normal(B, K, D_V))]


def as_jax(function):
    """`check_grads` steps with NumPy arrays; the shape checks want JAX's."""
    return lambda *args: function(*jax.tree.map(jnp.asarray, args))


def reference(name, query, key, value, mask=None, bias=None):
    """Loops over batch, query and key, in float64."""
    score = FAMILY[name][2]
    query, key, value = map(np.asarray, (query, key, value))
    weights = np.zeros((B, Q, K))
    for b in range(B):
        for i in range(Q):
            allowed = [j for j in range(K) if mask is None or mask[b, i, j]]
            added = (
                (lambda j, b=b, i=i: 0.0) if bias is None else (lambda j, b=b, i=i: bias[b, i, j])
            )
            scores = {
                j: score(query[b, i].astype(float), key[b, j].astype(float)) + added(j)
                for j in allowed
            }
            total = sum(math.exp(s) for s in scores.values())
            for j in allowed:
                weights[b, i, j] = math.exp(scores[j]) / total
    return np.einsum("bqk,bkd->bqd", weights, value.astype(float)), weights


@each
def test_it_is_the_formula_of_its_paper(name):
    function, parameters, *_ = FAMILY[name]
    arrays = inputs(name)
    context, weights = function(*arrays, **parameters)
    expected_context, expected_weights = reference(name, *arrays)
    np.testing.assert_allclose(weights, expected_weights, atol=1e-5)
    np.testing.assert_allclose(context, expected_context, atol=1e-5)


@each
def test_mask_and_bias(name):
    function, parameters, *_ = FAMILY[name]
    arrays = inputs(name)
    mask = RNG.random((B, Q, K)) < 0.6
    mask[0, 1] = False
    bias = normal(B, Q, K)
    context, weights = function(*arrays, mask=jnp.asarray(mask), bias=bias, **parameters)
    expected_context, expected_weights = reference(name, *arrays, mask, bias)
    np.testing.assert_allclose(weights, expected_weights, atol=1e-5)
    np.testing.assert_allclose(context, expected_context, atol=1e-5)


@each
def test_a_mask_is_a_subset(name):
    function, parameters, *_ = FAMILY[name]
    query, key, value = inputs(name)
    seen = np.array([True, False, True, True, False])
    context, weights = function(query, key, value, mask=jnp.asarray(seen), **parameters)
    subset, subset_weights = function(query, key[:, seen], value[:, seen], **parameters)
    np.testing.assert_allclose(context, subset, atol=1e-6)
    np.testing.assert_allclose(weights[..., seen], subset_weights, atol=1e-6)


@each
def test_minus_infinity_in_the_bias_is_a_mask(name):
    function, parameters, *_ = FAMILY[name]
    arrays = inputs(name)
    mask = RNG.random((Q, K)) < 0.5
    bias = jnp.where(mask, 0.0, -jnp.inf)
    masked = function(*arrays, mask=jnp.asarray(mask), **parameters)
    biased = function(*arrays, bias=bias, **parameters)
    for one, other in zip(masked, biased, strict=True):
        np.testing.assert_array_equal(one, other)


@each
@pytest.mark.parametrize("by", ["mask", "bias"])
def test_nothing_to_attend_to_is_zero_and_has_zero_gradients(name, by):
    function, parameters, *_ = FAMILY[name]
    arrays = inputs(name)
    hide = {"mask": jnp.zeros((Q, K), bool)} if by == "mask" else {"bias": jnp.full((K,), -jnp.inf)}

    def total(parameters, *arrays):
        context, weights = function(*arrays, **hide, **parameters)
        return context.sum() + (weights**2).sum()

    value, gradients = jax.value_and_grad(total, argnums=(0, 1, 2, 3))(parameters, *arrays)
    assert value == 0
    for gradient in jax.tree.leaves(gradients):
        np.testing.assert_array_equal(gradient, 0)


@each
def test_what_no_query_may_see_cannot_matter(name):
    function, parameters, *_ = FAMILY[name]
    query, key, value = inputs(name)
    mask = jnp.array([True, True, False, True, True])

    def total(query, key, value):
        context, weights = function(query, key, value, mask=mask, **parameters)
        return (context**2).sum() + (weights**2).sum()

    clean = jax.value_and_grad(total, argnums=(0, 1, 2))(query, key, value)
    key, value = key.at[:, 2].set(jnp.nan), value.at[:, 2].set(jnp.nan)
    poisoned = jax.value_and_grad(total, argnums=(0, 1, 2))(query, key, value)
    jax.tree.map(np.testing.assert_array_equal, clean, poisoned)


@each
def test_gradients(name):
    function, parameters, *_ = FAMILY[name]
    mask = jnp.asarray(RNG.random((Q, K)) < 0.7)
    check_grads(
        as_jax(lambda parameters, *arrays: function(*arrays, mask=mask, **parameters)),
        (parameters, *inputs(name)),
        order=1,
        modes=["rev"],
        atol=2e-2,
        rtol=2e-2,
    )


@each
def test_jit_and_vmap_change_nothing(name):
    function, parameters, *_ = FAMILY[name]
    arrays = inputs(name)
    eager = function(*arrays, **parameters)
    jitted = jax.jit(function)(*arrays, **parameters)
    mapped = jax.vmap(lambda *x: function(*x, **parameters))(*arrays)
    for plain, *others in zip(eager, jitted, mapped, strict=True):
        for other in others:
            np.testing.assert_allclose(plain, other, atol=1e-6)


@each
def test_bfloat16_weighs_in_float32(name):
    function, parameters, *_ = FAMILY[name]
    query, key, value = (jnp.asarray(x, jnp.bfloat16) for x in inputs(name))
    low = jax.tree.map(lambda x: jnp.asarray(x, jnp.bfloat16), parameters)
    context, weights = function(query, key, value, **low)
    assert (context.dtype, weights.dtype) == (jnp.bfloat16, jnp.float32)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-6)


@each
def test_no_keys_give_zeros(name):
    function, parameters, *_ = FAMILY[name]
    query, key, value = inputs(name)
    context, weights = function(query, key[:, :0], value[:, :0], **parameters)
    assert weights.shape == (B, Q, 0)
    np.testing.assert_array_equal(context, np.zeros((B, Q, D_V)))


@settings(max_examples=25, deadline=None)
@given(
    scores=st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=7),
    seed=st.integers(0, 99),
)
def test_softmax_rows_sum_to_one_or_are_zero(scores, seed):
    rng = np.random.default_rng(seed)
    scores, mask = np.float32(scores), rng.random(len(scores)) < 0.5
    weights = np.asarray(ops.softmax(jnp.asarray(scores), mask=jnp.asarray(mask)))
    assert np.all(weights[~mask] == 0)
    assert np.all(weights >= 0)
    assert weights.sum() == pytest.approx(1 if mask.any() else 0, abs=1e-6)
    order = rng.permutation(len(scores))
    permuted = ops.softmax(jnp.asarray(scores[order]), mask=jnp.asarray(mask[order]))
    np.testing.assert_allclose(weights[order], permuted, atol=1e-6)


def test_the_source_articles_example():
    """Its query and keys, worked out by hand: the scores are 32, 50 and 68."""
    query = jnp.array([[1.0, 2.0, 3.0]])
    key = jnp.array([[4.0, 5.0, 6.0], [7.0, 8.0, 9.0], [10.0, 11.0, 12.0]])
    value = jnp.array([[13.0, 14.0, 15.0], [16.0, 17.0, 18.0], [19.0, 20.0, 21.0]])
    np.testing.assert_array_equal(ops.dot_product_scores(query, key), [[32, 50, 68]])
    _, weights = ops.dot_product_attention(query, key, value)
    np.testing.assert_allclose(weights[0], [2.3195e-16, 1.523e-8, 1.0], rtol=1e-3)
    context, weights = ops.scaled_dot_product_attention(query, key, value)
    np.testing.assert_allclose(weights[0], [9.4065e-10, 3.067e-5, 0.99996933], rtol=1e-3)
    np.testing.assert_allclose(context[0], [18.999908, 19.999908, 20.999908], rtol=1e-6)

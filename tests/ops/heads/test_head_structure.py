"""Talking heads, differential attention, query-key norm and co-attention against NumPy loops."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from attn_jax import ops

B, Q, K, D, E = 2, 3, 5, 4, 7
RNG = np.random.default_rng(10)


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def softmax(scores, seen):
    e = [math.exp(s) if ok else 0.0 for s, ok in zip(scores, seen, strict=True)]
    return np.array(e) / (sum(e) or 1)


TALKING = {"w_scores": normal(6, 2), "w_weights": normal(2, 3)}
LAMBDA = jnp.array([0.3, 0.8, 0.5])
# name: (function, its parameters, heads of query and key, of scores, of the mixed map, of value)
FAMILY = {
    "talking heads": (ops.talking_heads_attention, TALKING, (6, 3), 2, 3, 1),
    "differential": (ops.differential_attention, {"lambda_": LAMBDA}, (6, 2), 3, 3, 1),
}
each = pytest.mark.parametrize("name", FAMILY)


def inputs(name):
    (heads, key_heads), value_heads = FAMILY[name][2], FAMILY[name][5]
    return normal(B, Q, heads, D), normal(B, K, key_heads, D), normal(B, K, value_heads, E)


@functools.cache
def compiled(name):
    return jax.jit(functools.partial(FAMILY[name][0], **FAMILY[name][1]))


def talking_map(b, i, query, key, mask, bias):
    w_scores, w_weights = (np.asarray(TALKING[n], float) for n in ("w_scores", "w_weights"))
    raw = [[query[b, i, g] @ key[b, j, g // 2] / math.sqrt(D) for j in range(K)] for g in range(6)]
    mixed = [
        [sum(w_scores[g, h] * raw[g][j] for g in range(6)) + bias[b, h, i, j] for j in range(K)]
        for h in range(2)
    ]
    weights = [softmax(mixed[h], mask[b, h, i]) for h in range(2)]
    return [sum(w_weights[h, v] * weights[h] for h in range(2)) for v in range(3)]


def differential_map(b, i, query, key, mask, bias):
    rows = []
    for h in range(3):
        maps = [
            softmax(
                [
                    query[b, i, 2 * h + n] @ key[b, j, 2 * (h // 3) + n] / math.sqrt(D)
                    + bias[b, h, i, j]
                    for j in range(K)
                ],
                mask[b, h, i],
            )
            for n in range(2)
        ]
        rows.append(maps[0] - float(LAMBDA[h]) * maps[1])
    return rows


def reference(name, query, key, value, mask, bias):
    row = {"talking heads": talking_map, "differential": differential_map}[name]
    query, key, value, bias = (np.asarray(x, np.float64) for x in (query, key, value, bias))
    weights = np.array([[row(b, i, query, key, mask, bias) for i in range(Q)] for b in range(B)])
    weights = weights.transpose(0, 2, 1, 3)
    return np.einsum("bhqk,bke->bqhe", weights, value[:, :, 0]), weights


def hiding(name):
    heads = FAMILY[name][3]
    mask = RNG.random((B, heads, Q, K)) < 0.6
    mask[0, :, 1] = False
    return jnp.asarray(mask), normal(B, heads, Q, K)


@each
def test_it_is_the_formula_of_its_paper(name):
    arrays, (mask, bias) = inputs(name), hiding(name)
    context, weights = compiled(name)(*arrays, mask=mask, bias=bias)
    expected, expected_weights = reference(name, *arrays, np.asarray(mask), bias)
    np.testing.assert_allclose(weights, expected_weights, atol=1e-5)
    np.testing.assert_allclose(context, expected, atol=1e-5)
    assert not weights[0, :, 1].any()
    mapped = jax.vmap(functools.partial(FAMILY[name][0], **FAMILY[name][1]))
    np.testing.assert_allclose(mapped(*arrays, mask=mask, bias=bias)[0], context, atol=1e-5)


@each
def test_gradients_and_what_nobody_sees(name):
    query, key, value = inputs(name)
    mask = jnp.zeros((Q, K), bool).at[1:, 1:4].set(True)

    @jax.jit
    def total(query, key, value):
        context, weights = FAMILY[name][0](
            *map(jnp.asarray, (query, key, value)), mask=mask, **FAMILY[name][1]
        )
        return (context**2).sum() + (weights**2).sum()

    check_grads(total, (query, key, value), order=1, modes=["rev"], atol=2e-2, rtol=2e-2)
    grads = jax.jit(jax.grad(total, argnums=(0, 1, 2)))
    clean = grads(query, key, value)
    assert not clean[0][:, 0].any()
    poisoned = grads(query, key.at[:, 4].set(jnp.nan), value.at[:, 0].set(jnp.nan))
    jax.tree.map(np.testing.assert_array_equal, clean, poisoned)


@each
def test_no_keys_and_bfloat16(name):
    query, key, value = inputs(name)
    context, weights = compiled(name)(query, key[:, :0], value[:, :0])
    assert weights.shape == (B, FAMILY[name][4], Q, 0)
    assert not context.any()
    low = [x.astype(jnp.bfloat16) for x in (query, key, value)]
    context, weights = compiled(name)(*low)
    assert (context.dtype, weights.dtype) == (jnp.bfloat16, jnp.float32)
    wide, _ = compiled(name)(*(x.astype(jnp.float32) for x in low))
    np.testing.assert_allclose(context.astype(jnp.float32), wide, atol=0.05)


def test_differential_rows_sum_to_one_less_lambda():
    _, weights = compiled("differential")(*inputs("differential"))
    np.testing.assert_allclose(weights.sum(-1)[0, :, 0], 1 - LAMBDA, atol=1e-5)
    ones = jnp.ones(3)
    value = ops.differential_lambda(ones, ones, ones / 3, ones, initial=0.2)
    np.testing.assert_allclose(value, math.exp(3) - math.exp(1) + 0.2, rtol=1e-5)


def test_query_key_norm():
    query, key, scale = normal(B, Q, 3, D), normal(B, K, 2, D), normal(D)
    normalise = jax.jit(ops.query_key_norm)
    new_query, new_key = normalise(query, key, query_scale=scale)
    for place in np.ndindex(B, Q, 3):
        x = np.asarray(query[place], np.float64)
        expected = x / math.sqrt(np.mean(x**2) + 1e-6) * np.asarray(scale)
        np.testing.assert_allclose(new_query[place], expected, rtol=1e-4)
    np.testing.assert_allclose((new_key**2).mean(-1), 1, rtol=1e-4)
    low, _ = normalise(query.astype(jnp.bfloat16), key)
    assert low.dtype == jnp.bfloat16
    both = lambda *x: normalise(*map(jnp.asarray, x), query_scale=scale)  # noqa: E731
    check_grads(both, (query, key), order=1, modes=["rev"], atol=2e-2, rtol=2e-2)


@settings(max_examples=10, deadline=None)
@given(scale=st.floats(1e-3, 1e4))
def test_normalised_scores_are_bounded(scale):
    query, key = ops.query_key_norm(scale * normal(Q, 2, D), scale * normal(K, 2, D))
    assert float(jnp.abs(ops.multi_head_scores(query, key)).max()) <= math.sqrt(D) * 1.001


def test_co_attention_reads_one_affinity_both_ways():
    first, second, w = normal(B, Q, 3), normal(B, K, 7), normal(3, 7)
    mask = jnp.ones((Q, K), bool).at[1].set(False).at[:, 2].set(False)
    attend = jax.jit(ops.co_attention)
    (context, weights), (back_context, back) = attend(first, second, w=w, mask=mask)
    for b in range(B):
        scores = np.array([[first[b, i] @ w @ second[b, j] for j in range(K)] for i in range(Q)])
        rows = np.array([softmax(scores[i], mask[i]) for i in range(Q)])
        columns = np.array([softmax(scores[:, j], mask[:, j]) for j in range(K)])
        np.testing.assert_allclose(weights[b], rows, atol=1e-5)
        np.testing.assert_allclose(back[b], columns, atol=1e-5)
        np.testing.assert_allclose(context[b], rows @ second[b], atol=1e-5)
        np.testing.assert_allclose(back_context[b], columns @ first[b], atol=1e-5)
    poisoned = attend(first.at[:, 1].set(jnp.nan), second.at[:, 2].set(jnp.nan), w=w, mask=mask)
    np.testing.assert_array_equal(poisoned[0][0], context)
    np.testing.assert_array_equal(poisoned[1][0], back_context)


X = jnp.ones((2, 6, 4))
ERRORS = {
    "a head": (lambda: ops.differential_attention(X[0], X, X, lambda_=0.5), "at least three axes"),
    "tokens": (
        lambda: ops.differential_attention(X, X, X[:1], lambda_=0.5),
        "key has 2 tokens and value has 1",
    ),
    "odd heads": (
        lambda: ops.differential_attention(X[:, :5], X, X, lambda_=0.5),
        "query has 5 heads; the number must be even",
    ),
    "odd maps": (lambda: ops.differential_weights(jnp.ones((3, 2, 2)), lambda_=1.0), "3 maps"),
    "lambda": (
        lambda: ops.differential_attention(X, X, X[:, :3], lambda_=jnp.ones(2)),
        r"lambda_ of shape \(2,\) does not broadcast",
    ),
    "mask": (
        lambda: ops.differential_attention(X, X, X, lambda_=0.5, mask=jnp.ones((6, 2, 2), bool)),
        r"mask of shape \(6, 2, 2\) does not broadcast",
    ),
    "w_scores": (
        lambda: ops.talking_heads_attention(
            X, X, X, w_scores=jnp.ones((3, 6)), w_weights=jnp.eye(6)
        ),
        r"w_scores has 3 features and query \(its heads\) expects 6",
    ),
    "w_weights": (
        lambda: ops.talking_heads_attention(X, X, X, w_scores=jnp.eye(6), w_weights=jnp.eye(5)),
        "w_weights has 5 features and w_scores expects 6",
    ),
    "features": (lambda: ops.query_key_norm(X, X[..., :3]), "key has 3 features"),
    "scale": (
        lambda: ops.query_key_norm(X, X, query_scale=jnp.ones(3)),
        "query_scale has 3 features and the head expects 4",
    ),
    "w": (lambda: ops.co_attention(X, X, w=jnp.ones((3, 4))), "first has 4 features and w expects"),
    "pairs": (
        lambda: ops.co_attention(X, X, w=jnp.eye(4), mask=jnp.ones((6, 5), bool)),
        r"mask of shape \(6, 5\) does not broadcast",
    ),
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("case", ERRORS)
def test_errors_say_what_is_wrong(case):
    call, message = ERRORS[case]
    with pytest.raises(ValueError, match=message):
        call()

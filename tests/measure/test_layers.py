"""Measures through layers, compared with values by hand, the papers' loops and networkx."""

import re

import jax
import jax.numpy as jnp
import networkx
import numpy as np
import pytest

from attn_jax import hooks, measure

L, B, H, T, S = 3, 2, 2, 5, 7
RNG = np.random.default_rng(0)
SELF = RNG.dirichlet(np.ones(T), (L, B, H, T)).astype(np.float32)
SELF_GRADS = RNG.normal(size=SELF.shape).astype(np.float32)
CROSS = RNG.dirichlet(np.ones(S), (L, B, H, T)).astype(np.float32)
CROSS_GRADS = RNG.normal(size=CROSS.shape).astype(np.float32)
SOURCE = RNG.dirichlet(np.ones(S), (L, B, H, S)).astype(np.float32)
SOURCE_GRADS = RNG.normal(size=SOURCE.shape).astype(np.float32)


def pad(weights, example, length):
    """Remove the tokens from `length` on from one example."""
    weights = weights.copy()
    weights[:, example, :, :, length:] = 0
    weights[:, example, :, length:] = 0
    return weights / np.maximum(weights.sum(-1, keepdims=True), 1e-30)


def mixed(weights, residual):
    """Return the paper's augmented attention of one layer and example, by loops."""
    tokens = weights.shape[-1]
    result = np.zeros((tokens, tokens))
    for i, j in np.ndindex(tokens, tokens):
        result[i, j] = (1 - residual) * np.mean([head[i, j] for head in np.float64(weights)])
        result[i, j] += residual * (i == j)
    return result / result.sum(-1, keepdims=True)


@pytest.mark.parametrize("residual", [0.5, 0.0, 0.25])
def test_rollout_is_the_product_of_mixed_maps(residual):
    weights = pad(SELF, 1, 3) if residual else SELF
    result = jax.jit(lambda w: measure.rollout(w, residual=residual))(jnp.array(weights))
    for n in range(B):
        expected = np.eye(T)
        for layer in range(L):
            expected = mixed(weights[layer, n], residual) @ expected
        np.testing.assert_allclose(result[n], expected, atol=1e-6)
    if residual:
        np.testing.assert_allclose(result[1, 3:], np.eye(T)[3:])
        np.testing.assert_allclose(result[1, :3, 3:], 0)


def test_flow_is_networkxs():
    weights = pad(SELF, 1, 4)[:, 1]
    graph = networkx.DiGraph()
    for layer in range(L):
        for (i, j), capacity in np.ndenumerate(mixed(weights[layer], 0.5)):
            graph.add_edge((layer + 1, i), (layer, j), capacity=capacity)
    expected = [
        [
            networkx.maximum_flow_value(graph, (L, i), (0, j)) if graph.has_node((0, j)) else 0
            for j in range(T)
        ]
        for i in (0, 2)
    ]
    np.testing.assert_allclose(measure.flow(weights, queries=[0, 2]), expected, atol=1e-5)


def test_flow_through_one_layer_is_the_map():
    np.testing.assert_allclose(measure.flow(SELF[:1, 0]), mixed(SELF[0, 0], 0.5), atol=1e-6)


def positive(weights, gradients):
    """Return the paper's equation 5 for one example."""
    result = np.zeros(weights.shape[1:])
    for i, j in np.ndindex(*result.shape):
        result[i, j] = np.mean(
            [max(w[i, j] * g[i, j], 0) for w, g in zip(weights, gradients, strict=True)]
        )
    return result


def scaled(relevance):
    beyond = relevance - np.eye(len(relevance))
    for row in beyond:
        if row.sum():
            row /= row.sum()
    return beyond + np.eye(len(relevance))


def test_relevance_follows_the_papers_rules():
    source = measure.self_relevance(jnp.array(SOURCE), jnp.array(SOURCE_GRADS))
    arrays = (jnp.array(x) for x in (SELF, SELF_GRADS, CROSS, CROSS_GRADS))
    own, other = jax.jit(measure.cross_relevance)(*arrays, source)
    for n in range(B):
        within = np.eye(S)
        for layer in range(L):
            within = within + positive(SOURCE[layer, n], SOURCE_GRADS[layer, n]) @ within
        np.testing.assert_allclose(source[n], within, rtol=1e-5, atol=1e-6)
        tt, ts = np.eye(T), np.zeros((T, S))
        for layer in range(L):
            step = positive(SELF[layer, n], SELF_GRADS[layer, n])
            tt, ts = tt + step @ tt, ts + step @ ts
            cross = positive(CROSS[layer, n], CROSS_GRADS[layer, n])
            ts = ts + scaled(tt).T @ cross @ scaled(within)
        np.testing.assert_allclose(own[n], tt, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(other[n], ts, rtol=1e-5, atol=1e-6)


def test_relevance_of_two_inputs_follows_the_papers_rules():
    steps = [RNG.dirichlet(np.ones(n[-1]), (L, B, n[0])) for n in [(T, S), (S, T), (T, T), (S, S)]]
    start = np.eye(T) + RNG.random((B, T, T)), np.eye(S) + RNG.random((B, S, S))
    layers = [
        measure.CoLayer(*(jnp.array(step[layer], jnp.float32) for step in steps))
        for layer in range(L)
    ]
    result = jax.jit(measure.co_relevance)(layers, *(jnp.array(x, jnp.float32) for x in start))
    for n in range(B):
        tt, ss, ts, st = start[0][n], start[1][n], np.zeros((T, S)), np.zeros((S, T))
        for layer in range(L):
            a_ts, a_st, a_tt, a_ss = (step[layer, n] for step in steps)
            new_ts, new_tt = scaled(tt).T @ a_ts @ scaled(ss), a_ts @ st
            new_st, new_ss = scaled(ss).T @ a_st @ scaled(tt), a_st @ ts
            tt, ss, ts, st = tt + new_tt, ss + new_ss, ts + new_ts, st + new_st
            tt, ts, ss, st = tt + a_tt @ tt, ts + a_tt @ ts, ss + a_ss @ ss, st + a_ss @ st
        for name, expected in zip(result._fields, (tt, ss, ts, st), strict=True):
            np.testing.assert_allclose(getattr(result, name)[n], expected, rtol=1e-4)


def test_weights_and_their_gradients_come_together():
    value = jnp.array(RNG.normal(size=(T, 3)), jnp.float32)

    def fn(scores):
        weights = hooks.tap("look.weights", jax.nn.softmax(scores))
        return (weights @ value)[0, 1]

    scores = jnp.array(RNG.normal(size=(T, T)), jnp.float32)
    weights, gradients = jax.jit(measure.attention_gradients(fn))(scores)
    np.testing.assert_allclose(weights["look.weights"], jax.nn.softmax(scores), atol=1e-6)
    expected = np.zeros((T, T))
    expected[0] = value[:, 1]  # the output is that row of weights times the second column
    np.testing.assert_allclose(gradients["look.weights"], expected, atol=1e-6)


D, M = 3, 11
VALUE = RNG.normal(size=(B, T, H, D)).astype(np.float32)
W_OUT = RNG.normal(size=(H, D, M)).astype(np.float32)
INPUT = RNG.normal(size=(B, T, M)).astype(np.float32)
GAMMA, BIAS = RNG.normal(size=(2, M)).astype(np.float32)


def sent(n):
    """Return each token's contribution to each other through each head, in float64."""
    result = np.zeros((H, T, T, M))
    for h, i, j in np.ndindex(H, T, T):
        result[h, i, j] = np.float64(SELF[0, n, h, i, j]) * (VALUE[n, j, h] @ W_OUT[h])
    return result


def test_norms_of_weighted_values_follow_the_paper():
    result = measure.value_norms(jnp.array(SELF[0]), jnp.array(VALUE), jnp.array(W_OUT))
    expected = [np.linalg.norm(sent(n), axis=-1) for n in range(B)]
    np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_norms_of_a_block_follow_the_paper_and_add_up_to_its_output():
    arrays = (SELF[0], VALUE, W_OUT, INPUT)
    result = measure.block_norms(
        *map(jnp.array, arrays), scale=jnp.array(GAMMA), bias=jnp.array(BIAS)
    )
    for n, i in np.ndindex(B, T):
        parts = sent(n).sum(0)[i]
        parts[i] += INPUT[n, i]
        whole = parts.sum(0) + BIAS
        parts = (parts - parts.mean(-1, keepdims=True)) / np.sqrt(whole.var() + 1e-6) * GAMMA
        np.testing.assert_allclose(result.norms[n, i], np.linalg.norm(parts, axis=-1), rtol=1e-4)
        own = np.linalg.norm(parts[i])
        rest = np.linalg.norm(parts.sum(0) - parts[i])
        np.testing.assert_allclose(result.mixing[n, i], rest / (rest + own), rtol=1e-4)


def test_a_token_that_attends_to_itself_alone_mixes_nothing():
    result = measure.block_norms(
        jnp.tile(jnp.eye(T), (B, H, 1, 1)), jnp.array(VALUE), jnp.array(W_OUT)
    )
    np.testing.assert_allclose(result.mixing, 0, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: measure.rollout(jnp.array(CROSS)),
            "layers of self-attention over the same tokens, (..., h, t, t)",
        ),
        (lambda: measure.rollout(jnp.array(SELF), residual=1.0), "residual=1.0 must be at least 0"),
        (
            lambda: measure.rollout(2 * jnp.array(SELF)),
            "row (0, 0, 0) of layer 0 has the sum 2 and the lowest weight",
        ),
        (lambda: measure.flow(-SELF[:, 0]), "row (0, 0) of layer 0 has the sum -1"),
        (lambda: measure.flow(SELF[:, 0], residual=-0.5), "residual=-0.5 must be at least 0"),
        (
            lambda: measure.co_relevance(
                [measure.CoLayer(other_one=jnp.ones((T, S)))], jnp.eye(T), jnp.eye(S)
            ),
            "other_one of layer 0 has shape (5, 7), but (7, 5) is needed",
        ),
        (lambda: measure.flow(SELF), "flow takes one example at a time, (h, t, t)"),
        (
            lambda: measure.flow(SELF[:, 0], queries=[5]),
            "queries contains 5, but the tokens are 0 to 4",
        ),
        (
            lambda: measure.self_relevance(jnp.array(SELF), jnp.array(SELF[:2])),
            "pass one gradient for each layer's weights",
        ),
        (
            lambda: measure.cross_relevance(
                *map(jnp.array, (SELF[:2], SELF[:2], CROSS, CROSS)), jnp.zeros((B, S, S))
            ),
            "there are 2 layers of self-attention and 3 of cross-attention",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, message, unchecked):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()

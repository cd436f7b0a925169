"""Every further score and alignment against loops written from its paper, in float64."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import ops

B, Q, K, D_Q, D_K, D_V, A = 2, 3, 5, 7, 11, 13, 4
RNG = np.random.default_rng(3)
MASK = RNG.random((B, Q, K)) < 0.7
MASK[0, 1] = False
BIAS = RNG.normal(size=(B, Q, K)).astype(np.float32)
ALL, ZERO = np.ones((B, Q, K), bool), np.zeros((B, Q, K), np.float32)


def normal(*shape, scale=1.0):
    return jnp.asarray(scale * RNG.normal(size=shape), jnp.float32)


def weights_before(*shape):
    weights = RNG.random(shape)
    return jnp.asarray(weights / weights.sum(-1, keepdims=True), jnp.float32)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def softmax_of(score):
    """The weights of a paper that scores one pair, `score(parameters, query, key, i, j)`."""

    def weights(p, query, key, mask, bias):
        e = np.zeros((len(query), len(key)))
        for i, j in np.ndindex(e.shape):
            if mask[i, j]:
                e[i, j] = math.exp(score(p, query[i], key[j], i, j) + bias[i, j])
        return e / np.where(e.sum(1, keepdims=True) > 0, e.sum(1, keepdims=True), 1)

    return weights


def cosine(p, q, k, i, j):
    return q @ k / math.sqrt(q @ q) / math.sqrt(k @ k) / p["temperature"]


def additive(p, q, k):
    return p["v"] @ np.tanh(q @ p["w_query"] + k @ p["w_key"] + p.get("b", 0))


def location_sensitive(p, q, k, i, j):
    width, center = len(p["filters"]), (len(p["filters"]) - 1) // 2
    hidden = q @ p["w_query"] + k @ p["w_key"] + p["b"]
    for r in range(width):
        if 0 <= j + r - center < p["state"].shape[-1]:
            before = p["state"][i, j + r - center]
            hidden = hidden + before * p["filters"][r] @ p["w_location"]
    return p["v"] @ np.tanh(hidden)


def gaussian_mixture(p, query, key, mask, bias):
    weights, position = np.zeros((len(query), len(key))), p["state"]
    for i, q in enumerate(query):
        importance, precision, step = np.split(np.exp(q @ p["w"] + p["b"]), 3)
        position = position + step
        for j in range(len(key)):
            windows = importance * np.exp(-precision * (position - j) ** 2)
            weights[i, j] = mask[i, j] * windows.sum() * math.exp(bias[i, j])
    return weights


def monotonic_score(p, q, k):
    p = p | {"v": p["v"] / np.sqrt((p["v"] ** 2).sum())}
    return p["gain"] * additive(p, q, k) + p["offset"]


def read(stop, mask, previous):
    """Raffel 2017, equation 8: the sum over where the reader stood and what it passed since."""
    weights = np.zeros(stop.shape)
    for i, j in np.ndindex(stop.shape):
        for start in range(j + 1):
            passed = math.prod(1 - stop[i, between] for between in range(start, j))
            weights[i, j] += previous[start] * passed * stop[i, j]
        if j == stop.shape[1] - 1 and mask[i].any():
            previous = weights[i]
    return weights


def monotonic(p, query, key, mask, bias):
    stop = np.zeros(mask.shape)
    for i, j in np.argwhere(mask):
        stop[i, j] = sigmoid(monotonic_score(p, query[i], key[j]) + bias[i, j])
    return read(stop, mask, p["state"])


def mocha(p, query, key, mask, bias):
    alignment = monotonic(p, query, key, mask, bias)
    chunk_energy = {n.removeprefix("chunk_"): x for n, x in p.items() if n.startswith("chunk_")}
    weights = np.zeros(mask.shape)
    for i, end in np.ndindex(mask.shape):
        chunk = [j for j in range(max(0, end - 2), end + 1) if mask[i, j]]
        e = {j: math.exp(additive(chunk_energy, query[i], key[j])) for j in chunk}
        for j in chunk:
            weights[i, j] += alignment[i, end] * e[j] / sum(e.values())
    return weights


def bilinear(p, q, k, i, j):
    return q @ p["w"] @ k


def local_m(p, query, key, mask, bias):
    near = [[abs(j - i - 1) <= 1 for j in range(len(key))] for i in range(len(query))]
    return softmax_of(bilinear)(p, query, key, mask & np.array(near), bias)


def local_p(p, query, key, mask, bias):
    positions = [len(key) * sigmoid(p["v_position"] @ np.tanh(q @ p["w_position"])) for q in query]
    far = np.array([[j - position for j in range(len(key))] for position in positions])
    weights = softmax_of(bilinear)(p, query, key, mask & (abs(far) <= 2), bias)
    return weights * np.exp(-(far**2) / 2)  # sigma = D / 2 = 1


class Member(NamedTuple):
    function: object
    parameters: dict
    weights: object  # of one sequence: (parameters, query, key, mask, bias) -> (q, k)
    batched: tuple = ()  # the parameters that differ along the batch
    features: tuple = (D_Q, D_K)


def energy():
    return {
        "w_query": normal(D_Q, A, scale=0.5),
        "w_key": normal(D_K, A, scale=0.5),
        "v": normal(A),
        "b": normal(A),
    }


READER = energy() | {"gain": normal() + 2, "offset": normal()}
FAMILY = {
    "bilinear": Member(
        ops.bilinear_attention, {"w": normal(D_Q, D_K, scale=0.3)}, softmax_of(bilinear)
    ),
    "concat": Member(
        ops.concat_attention,
        {"w": normal(D_Q + D_K, A), "v": normal(A)},
        softmax_of(lambda p, q, k, i, j: p["v"] @ np.tanh(np.concatenate([q, k]) @ p["w"])),
    ),
    "location": Member(
        ops.location_attention,
        {"w": normal(D_Q, K + 2)},
        softmax_of(lambda p, q, k, i, j: q @ p["w"][:, j]),
    ),
    "cosine": Member(
        ops.cosine_attention, {"temperature": jnp.float32(0.3)}, softmax_of(cosine), (), (D_K, D_K)
    ),
    "location sensitive": Member(
        ops.location_sensitive_attention,
        energy()
        | {
            "w_location": normal(2, A),
            "filters": normal(4, 2),
            "state": weights_before(B, Q, K),
        },
        softmax_of(location_sensitive),
        ("state",),
    ),
    "gaussian mixture": Member(
        ops.gaussian_mixture_attention,
        {
            "w": normal(D_Q, 6, scale=0.3),
            "b": normal(6, scale=0.3),
            "state": normal(B, 2, scale=0.1),
        },
        gaussian_mixture,
        ("state",),
    ),
    "monotonic": Member(
        ops.monotonic_attention,
        READER | {"state": weights_before(B, K)},
        monotonic,
        ("state",),
    ),
    "mocha": Member(
        functools.partial(ops.mocha_attention, width=3),
        READER | {f"chunk_{n}": x for n, x in energy().items()} | {"state": weights_before(B, K)},
        mocha,
        ("state",),
    ),
    "local-m": Member(
        functools.partial(ops.local_m_attention, half_width=1, query_offset=1),
        {"w": normal(D_Q, D_K, scale=0.3)},
        local_m,
    ),
    "local-p": Member(
        functools.partial(ops.local_p_attention, half_width=2),
        {
            "w": normal(D_Q, D_K, scale=0.3),
            "w_position": normal(D_Q, A, scale=0.3),
            "v_position": normal(A),
        },
        local_p,
    ),
}
each = pytest.mark.parametrize("name", FAMILY)


@functools.cache
def compiled(name):
    """Return the weights, the context and all gradients of one number made of both."""
    function = FAMILY[name].function

    def total(parameters, query, key, value, mask, bias):
        context, weights = function(query, key, value, mask=mask, bias=bias, **parameters)
        return (context**2).sum() + (weights**2).sum(), (context, weights)

    return jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2, 3), has_aux=True))


@functools.cache
def arrays(name):
    d_q, d_k = FAMILY[name].features
    rng = np.random.default_rng(5)
    shapes = (B, Q, d_q), (B, K, d_k), (B, K, D_V)
    return tuple(jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes)


def run(name, *inputs, mask=ALL, bias=ZERO):
    inputs = inputs or arrays(name)
    (_, out), gradients = compiled(name)(
        FAMILY[name].parameters, *inputs, jnp.asarray(mask), jnp.asarray(bias)
    )
    return *out, gradients


def reference(name, mask, bias):
    member = FAMILY[name]
    parameters = jax.tree.map(lambda x: np.asarray(x, np.float64), member.parameters)
    query, key, value = (np.asarray(x, np.float64) for x in arrays(name))
    weights = []
    for b in range(B):
        p = parameters | {n: parameters[n][b] for n in member.batched}
        weights.append(member.weights(p, query[b], key[b], mask[b], bias[b]))
    return np.stack(weights) @ value, np.stack(weights)


def close(one, other, tolerance=1e-5):
    np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


@each
@pytest.mark.parametrize(("mask", "bias"), [(ALL, ZERO), (MASK, BIAS)], ids=["plain", "masked"])
def test_it_is_the_formula_of_its_paper(name, mask, bias):
    context, weights, _ = run(name, mask=mask, bias=bias)
    expected_context, expected = reference(name, mask, bias)
    close(weights, expected)
    close(context, expected_context, 2e-5)


@each
def test_without_mask_and_bias_and_under_vmap_nothing_changes(name):
    member = FAMILY[name]
    context, weights, _ = run(name)
    shared = {n: x for n, x in member.parameters.items() if n not in member.batched}
    own = {n: member.parameters[n] for n in member.batched}

    def one(own, query, key, value):
        return member.function(query, key, value, **own, **shared)

    alone = jax.jit(jax.vmap(one))(own, *arrays(name))
    close(alone[0], context, 2e-6)
    close(alone[1], weights, 2e-6)


@each
def test_minus_infinity_in_the_bias_is_a_mask(name):
    masked = run(name, mask=MASK)
    biased = run(name, bias=np.where(MASK, 0.0, -np.inf).astype(np.float32))
    jax.tree.map(np.testing.assert_array_equal, masked, biased)


@each
def test_nothing_to_attend_to_is_zero_and_has_zero_gradients(name):
    for found in (run(name, mask=~ALL), run(name, bias=np.full_like(ZERO, -np.inf))):
        for array in jax.tree.leaves(found):
            np.testing.assert_array_equal(array, 0)


@each
def test_what_no_query_may_see_cannot_matter(name):
    query, key, value = arrays(name)
    mask = ALL & (np.arange(K) != 2)
    broken = key.at[:, 2].set(jnp.nan), value.at[:, 2].set(jnp.nan)
    clean, poisoned = run(name, mask=mask), run(name, query, *broken, mask=mask)
    jax.tree.map(np.testing.assert_array_equal, clean, poisoned)


@each
def test_gradients_follow_the_differences(name):
    inputs = (FAMILY[name].parameters, *arrays(name))
    rest = jnp.asarray(MASK), jnp.asarray(BIAS)
    rng = np.random.default_rng(7)
    _, gradients = compiled(name)(*inputs, *rest)
    for _ in range(4):
        along = jax.tree.map(lambda x: np.float32(rng.normal(size=x.shape)), inputs)
        step = 8e-3 / math.sqrt(sum((x**2).sum() for x in jax.tree.leaves(along)))
        up, down = (jax.tree.map(lambda x, d, t=t: x + t * d, inputs, along) for t in (step, -step))
        difference = compiled(name)(*up, *rest)[0][0] - compiled(name)(*down, *rest)[0][0]
        products = jax.tree.map(lambda g, d: (g * d).sum(), gradients, along)
        slope = sum(jax.tree.leaves(products))
        np.testing.assert_allclose(difference / (2 * step), slope, rtol=2e-2, atol=5e-2)


@each
def test_half_precision(name):
    """Weights are normalised in float32; against float32 they are off by at most 0.1."""
    member = FAMILY[name]
    low = jax.tree.map(lambda x: jnp.asarray(x, jnp.bfloat16), (member.parameters, arrays(name)))
    context, weights = jax.jit(lambda p, a: member.function(*a, **p))(*low)
    assert (context.dtype, weights.dtype) == (jnp.bfloat16, jnp.float32)
    close(weights, run(name)[1], 0.1)


@each
def test_no_keys_give_zeros(name):
    member = FAMILY[name]
    query, key, value = arrays(name)
    parameters = {
        n: x[..., :0] if n == "state" and x.shape[-1] == K else x
        for n, x in member.parameters.items()
    }
    attend = jax.jit(lambda p, *inputs: member.function(*inputs, **p))
    context, weights = attend(parameters, query, key[:, :0], value[:, :0])
    assert weights.shape == (B, Q, 0)
    np.testing.assert_array_equal(context, np.zeros((B, Q, D_V)))

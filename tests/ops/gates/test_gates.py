"""Gates of vision models against NumPy loops written from their papers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from attn_jax import ops

B, H, W, C, R, A = 2, 4, 6, 5, 3, 7
RNG = np.random.default_rng(11)


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


X = normal(B, H, W, C)
BOTTLENECK = {
    "w_squeeze": normal(C, R),
    "b_squeeze": normal(R),
    "w_excite": normal(R, C),
    "b_excite": normal(C),
}
GATING = normal(B, H // 2, W // 3, 11)
GATE = {
    "w_x": normal(2, 3, C, A),
    "w_gating": normal(11, A),
    "b": normal(A),
    "v": normal(A),
    "b_v": jnp.array(0.4),
}
SPATIAL = {"kernel": normal(3, 7, 2, 1), "b": jnp.array(0.2)}


def bottleneck(z):
    p = {name: np.asarray(x, np.float64) for name, x in BOTTLENECK.items()}
    hidden = [max(0.0, z @ p["w_squeeze"][:, r] + p["b_squeeze"][r]) for r in range(R)]
    return np.array([hidden @ p["w_excite"][:, c] + p["b_excite"][c] for c in range(C)])


def squeeze_reference(x):
    return np.array([sigmoid(bottleneck(x[b].mean((0, 1)))) for b in range(B)])


def channel_reference(x):
    return np.array(
        [sigmoid(bottleneck(x[b].mean((0, 1))) + bottleneck(x[b].max((0, 1)))) for b in range(B)]
    )


def spatial_reference(x):
    kernel = np.asarray(SPATIAL["kernel"], np.float64)
    maps = np.stack([x.mean(-1), x.max(-1)], -1)
    scores = np.full((B, H, W), 0.2)
    for b, i, j, r, s, c in np.ndindex(B, H, W, 3, 7, 2):
        row, column = i + r - 1, j + s - 3
        if 0 <= row < H and 0 <= column < W:
            scores[b, i, j] += maps[b, row, column, c] * kernel[r, s, c, 0]
    return sigmoid(scores)


def between(coarse, factor, place):
    """Linear interpolation between the centres of coarse cells, held at the edges."""
    at = min(max((place + 0.5) / factor - 0.5, 0), coarse - 1)
    low = min(int(at), coarse - 1)
    return low, min(low + 1, coarse - 1), at - low


def attention_reference(x):
    p = {name: np.asarray(value, np.float64) for name, value in GATE.items()}
    gating = np.asarray(GATING, np.float64)
    coarse = np.zeros(gating.shape[:-1])
    for b, i, j in np.ndindex(coarse.shape):
        hidden = gating[b, i, j] @ p["w_gating"] + p["b"]
        for r, s in np.ndindex(2, 3):
            hidden = hidden + x[b, 2 * i + r, 3 * j + s] @ p["w_x"][r, s]
        coarse[b, i, j] = sigmoid(np.maximum(hidden, 0) @ p["v"] + p["b_v"])
    gate = np.zeros((B, H, W))
    for b, i, j in np.ndindex(B, H, W):
        top, below, down = between(coarse.shape[1], 2, i)
        left, right, over = between(coarse.shape[2], 3, j)
        upper = (1 - over) * coarse[b, top, left] + over * coarse[b, top, right]
        lower = (1 - over) * coarse[b, below, left] + over * coarse[b, below, right]
        gate[b, i, j] = (1 - down) * upper + down * lower
    return gate


def attention(x, **parameters):
    return ops.attention_gate(x, GATING[: x.shape[0]], **parameters)


FAMILY = {
    "squeeze-and-excitation": (ops.squeeze_excitation, BOTTLENECK, squeeze_reference),
    "CBAM's channels": (ops.channel_gate, BOTTLENECK, channel_reference),
    "CBAM's places": (ops.spatial_gate, SPATIAL, spatial_reference),
    "attention gate": (attention, GATE, attention_reference),
}
each = pytest.mark.parametrize("name", FAMILY)


@each
def test_it_is_the_formula_of_its_paper(name):
    function, parameters, reference = FAMILY[name]
    gate = jax.jit(functools.partial(function, **parameters))(X)
    np.testing.assert_allclose(gate, reference(np.asarray(X, np.float64)), atol=1e-5)


@each
def test_gradients(name):
    function, parameters, _ = FAMILY[name]
    compiled = jax.jit(lambda x, p: function(jnp.asarray(x), **jax.tree.map(jnp.asarray, p)))
    check_grads(compiled, (X, parameters), order=1, modes=["rev"], atol=3e-2, rtol=3e-2)


@each
def test_vmap_batches_and_bfloat16(name):
    function, parameters, _ = FAMILY[name]
    function = jax.jit(function)
    gate = function(X, **parameters)
    if name != "attention gate":
        mapped = jax.vmap(functools.partial(function, **parameters))(X)
        np.testing.assert_allclose(mapped, gate, atol=1e-6)
        deep = function(X[:, None, None], **parameters)
        np.testing.assert_allclose(deep[:, 0, 0], gate, atol=1e-6)
    low = jax.tree.map(lambda x: x.astype(jnp.bfloat16), parameters)
    small_gate = function(X.astype(jnp.bfloat16), **low)
    assert small_gate.dtype == jnp.float32
    np.testing.assert_allclose(small_gate, gate, atol=0.05)


def test_an_attention_gate_of_equal_grids_and_axes():
    gating, w_x = normal(B, H, W, 11), GATE["w_x"][:1, :1]
    gate = jax.jit(ops.attention_gate)(X, gating, **GATE | {"w_x": w_x})
    hidden = np.maximum(X @ w_x[0, 0] + gating @ GATE["w_gating"] + GATE["b"][None, None, None], 0)
    np.testing.assert_allclose(gate, sigmoid(hidden @ GATE["v"] + 0.4), atol=1e-5)


ERRORS = {
    "channels": (
        lambda: ops.squeeze_excitation(X[..., :4], **BOTTLENECK),
        "x has 4 features and w_squeeze expects 5",
    ),
    "hidden": (
        lambda: ops.channel_gate(X, **BOTTLENECK | {"w_excite": normal(4, C)}),
        "w_excite has 4 features and w_squeeze expects 3",
    ),
    "maps": (
        lambda: ops.spatial_gate(X, kernel=normal(3, 3, 1, 1)),
        r"kernel \(its inputs\) has 1",
    ),
    "scores": (lambda: ops.spatial_gate(X, kernel=normal(3, 3, 2, 2)), r"\(its outputs\) has 2"),
    "grid": (lambda: ops.attention_gate(X[:, :3], GATING, **GATE), r"the grid \(4, 6\)"),
    "gating": (
        lambda: ops.attention_gate(X, GATING[..., :3], **GATE),
        "gating has 3 features and w_gating expects 11",
    ),
    "v": (lambda: ops.attention_gate(X, GATING, **GATE | {"v": normal(3)}), "v has 3 features"),
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("case", ERRORS)
def test_errors_say_what_is_wrong(case):
    call, message = ERRORS[case]
    with pytest.raises(ValueError, match=message):
        call()

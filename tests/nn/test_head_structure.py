"""Multi-head modules with structure are their functions with parameters, and can be looked into."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import nn, ops
from attn_jax.hooks import capture, hook_points, intervene

POINTS = ["query", "key", "value", "scores", "weights", "context"]
FUSED = ["query", "key", "value", "scores", "weights", "summary", "context"]
IMPLIED = ["query", "key", "value", "weights", "context"]
SIZES = {"num_heads": 3, "head_dim": 4, "out_dim": 5}
MODULES = {
    "linear": (nn.LinearAttention(**SIZES), IMPLIED),
    "performer": (nn.PerformerAttention(num_features=13, **SIZES), IMPLIED),
    "linformer": (nn.LinformerAttention(num_combinations=2, **SIZES), IMPLIED),
    "nystrom": (nn.NystromAttention(num_landmarks=2, **SIZES), IMPLIED),
    "gated": (nn.GatedAttention(**SIZES), [*FUSED, "gate"]),
    "gated by head": (nn.GatedAttention(headwise=True, **SIZES), [*FUSED, "gate"]),
    "talking heads": (nn.TalkingHeadsAttention(**SIZES), POINTS),
    "differential": (nn.DifferentialAttention(layer=2, **SIZES), POINTS),
}
each = pytest.mark.parametrize("name", MODULES)


@functools.cache
def example(name):
    rngs = jax.random.split(jax.random.key(1), 3)
    shapes = (2, 3, 7), (2, 6, 7), (2, 6, 11)
    arrays = [jax.random.normal(rng, shape) for rng, shape in zip(rngs, shapes, strict=True)]
    model = MODULES[name][0]
    variables = jax.jit(model.init)(jax.random.key(0), *arrays)
    rng = np.random.default_rng(2)
    moved = lambda p: p + jnp.asarray(0.1 * rng.normal(size=p.shape), jnp.float32)  # noqa: E731
    return model, jax.tree.map(moved, variables), arrays


def functional(name, params, arrays):
    """What the function of `ops` says for the module's parameters."""
    of_head = []
    for part, x in zip(("query", "key", "value"), arrays, strict=True):
        projected = jnp.einsum("btd,dhe->bthe", x, params[part]["kernel"])
        bias = params[part].get("bias", jnp.zeros(projected.shape[2:]))
        of_head.append(projected + bias[None, None])
    if name.startswith("gated"):
        scores = jnp.einsum("bqhd,bkhd->bhqk", of_head[0], of_head[1]) / 2
        weights = jax.nn.softmax(scores, axis=-1)
        context = jnp.einsum("bhqk,bkhd->bqhd", weights, of_head[2])
        w = params["w_gate"].reshape(*params["w_gate"].shape[:2], -1)
        return context * jax.nn.sigmoid(jnp.einsum("bqd,dhe->bqhe", arrays[0], w)), weights
    if name == "talking heads":
        return ops.talking_heads_attention(
            *of_head, w_scores=params["w_scores"], w_weights=params["w_weights"]
        )
    if name == "differential":
        initial = 0.8 - 0.6 * np.exp(-0.3)
        vectors = [params[f"lambda_{n}"] for n in ("query_1", "key_1", "query_2", "key_2")]
        lambda_ = ops.differential_lambda(*vectors, initial=initial)
        context, weights = ops.differential_attention(*of_head, lambda_=lambda_)
        size = jnp.sqrt((context**2).mean(-1, keepdims=True) + 1e-5)
        scale = params["scale"].reshape(1, 1, 1, -1)
        return context / size * scale * (1 - initial), weights
    of_head = [jnp.moveaxis(x, 2, 1) for x in of_head]
    options = {
        "linear": {},
        "performer": {"projection": ops.performer_projection(4, 13, rng=jax.random.key(0))},
        "linformer": {k: params[k] for k in ("w_key", "w_value") if k in params},
        "nystrom": {"num_landmarks": 2},
    }[name]
    context = getattr(ops, f"{name}_attention")(*of_head, **options)
    weights = getattr(ops, f"{name}_weights")(*of_head[:2], **options)
    return jnp.moveaxis(context, 1, 2), weights


@each
def test_a_module_is_its_function_and_looking_changes_nothing(name):
    model, variables, arrays = example(name)
    out, captured = jax.jit(capture(model.apply, "weights"))(variables, *arrays)
    context, weights = jax.jit(functional, static_argnums=0)(name, variables["params"], arrays)
    np.testing.assert_allclose(captured["weights"], weights, atol=1e-5)
    kernel = variables["params"]["out"]["kernel"]
    expected = jnp.einsum("bqhe,hed->bqd", context, kernel)
    if "bias" in variables["params"]["out"]:
        expected += variables["params"]["out"]["bias"][None, None]
    np.testing.assert_allclose(out, expected, atol=2e-5)
    sown, state = jax.jit(lambda *a: model.apply(*a, mutable=["intermediates"]))(variables, *arrays)
    np.testing.assert_allclose(sown, out, atol=1e-6)
    np.testing.assert_allclose(state["intermediates"]["weights"][0], weights, atol=1e-5)


@each
def test_hook_points(name):
    model, variables, arrays = example(name)
    assert [p.name for p in hook_points(model.apply)(variables, *arrays)] == MODULES[name][1]


@pytest.mark.parametrize("name", ["linear", "talking heads", "differential"])
def test_edited_weights_change_the_output(name):
    model, variables, arrays = example(name)
    nothing = {"weights": lambda weights, site: 0 * weights}
    out = jax.jit(intervene(model.apply, nothing))(variables, *arrays)
    bias = variables["params"]["out"].get("bias", jnp.zeros(5))
    np.testing.assert_allclose(out, np.broadcast_to(bias, out.shape), atol=1e-6)


@each
def test_hidden_keys_cannot_matter_and_gradients_are_finite(name):
    model, variables, (query, key, value) = example(name)
    mask = jnp.arange(6) < 4

    @jax.jit
    @jax.value_and_grad
    def step(variables, key, value):
        return (model.apply(variables, query, key, value, key_mask=mask) ** 2).sum()

    clean, gradients = step(variables, key, value)
    poisoned, _ = step(variables, key.at[:, 4:].set(jnp.nan), value.at[:, 4:].set(jnp.nan))
    assert clean == poisoned
    assert all(jnp.isfinite(g).all() for g in jax.tree.leaves(gradients))


@pytest.mark.parametrize("name", ["linear", "differential"])
def test_bfloat16(name):
    model, variables, arrays = example(name)
    low = dataclasses.replace(model, dtype="bfloat16")
    out = jax.jit(low.apply)(variables, *arrays)
    assert out.dtype == jnp.bfloat16
    wide = jax.jit(model.apply)(variables, *arrays)
    np.testing.assert_allclose(out.astype(jnp.float32), wide, atol=0.15)


def test_nystrom_of_itself_keeps_padding_out_of_its_landmarks():
    x = jax.random.normal(jax.random.key(3), (1, 6, 7))
    model = MODULES["nystrom"][0]
    variables, apply = jax.jit(model.init)(jax.random.key(0), x), jax.jit(model.apply)
    alone = apply(variables, x[:, :4])
    padded = apply(variables, x, key_mask=jnp.arange(6) < 4)
    np.testing.assert_allclose(padded[:, :4], alone, atol=1e-5)


def test_a_transform_is_applied_to_the_heads():
    x = jax.random.normal(jax.random.key(3), (2, 5, 12))
    model = nn.MultiHeadAttention(num_heads=3, transform=nn.QueryKeyNorm(then=nn.Rotary()))
    variables = jax.jit(model.init)(jax.random.key(0), x)
    assert set(variables["params"]["transform"]) == {"query_scale", "key_scale"}
    _, captured = jax.jit(capture(model.apply, ["query", "key"]))(variables, x)
    plain = {"params": {k: v for k, v in variables["params"].items() if k != "transform"}}
    unchanged = nn.MultiHeadAttention(num_heads=3)
    _, raw = jax.jit(capture(unchanged.apply, ["query", "key"]))(plain, x)
    query, key = ops.query_key_norm(raw["query"], raw["key"])
    np.testing.assert_allclose(captured["query"], ops.rotary(query), atol=1e-5)
    np.testing.assert_allclose(captured["key"], ops.rotary(key), atol=1e-5)


def test_part_of_the_features_may_be_rotated():
    query, key = jnp.ones((5, 2, 8)), jnp.ones((7, 1, 8))
    rotated, _ = nn.Rotary(fraction=0.5).apply({}, query, key)
    np.testing.assert_array_equal(rotated[..., 4:], query[..., 4:])
    assert not np.allclose(rotated[..., :4], query[..., :4])


def test_positions_may_be_given():
    query, key = (jax.random.normal(jax.random.key(i), (2, 3, 2, 8)) for i in range(2))
    positions = jnp.array([[4, 5, 6], [0, 1, 2]])
    model = nn.QueryKeyNorm(then=nn.Rotary())
    variables = model.init(jax.random.key(0), query, key)
    both = model.apply(variables, query, key, positions=positions)
    for rotated, x in zip(both, ops.query_key_norm(query, key), strict=True):
        np.testing.assert_allclose(rotated, ops.rotary(x, positions=positions), atol=1e-6)


def test_a_relative_bias_is_learned():
    model = nn.RelativePositionBias(num_heads=3, num_buckets=8, max_distance=9)
    variables = model.init(jax.random.key(0), 5, 7)
    expected = ops.t5_relative_bias(5, 7, table=variables["params"]["table"], max_distance=9)
    np.testing.assert_array_equal(model.apply(variables, 5, 7), expected)


def test_heads_that_do_not_divide_are_refused():
    x = jnp.ones((2, 5, 7))
    with pytest.raises(ValueError, match="num_heads=4 must divide the query's 7 features"):
        nn.LinearAttention().init(jax.random.key(0), x)

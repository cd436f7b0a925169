"""Modules are their functions with parameters; hook points and sown weights are as promised."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as linen

from attn_jax import nn, ops
from attn_jax.hooks import capture, hook_points, intervene

POINTS = ["query", "key", "value", "scores", "weights", "context"]


def unfused_softmax(scores, *, mask=None):
    """Softmax under another name, which is not fused."""
    return ops.softmax(scores, mask=mask)


MODULES = {
    "dot": nn.DotProductAttention(),
    "scaled": nn.ScaledDotProductAttention(),
    "additive": nn.AdditiveAttention(hidden_dim=13, use_bias=True),
    "feed_forward": nn.FeedForwardAttention(hidden_dims=(13, 17)),
    "multi_head": nn.MultiHeadAttention(num_heads=2, head_dim=3),
    "grouped": nn.MultiHeadAttention(num_heads=4, head_dim=3, num_key_value_heads=2),
    "unfused": nn.MultiHeadAttention(
        num_heads=2, head_dim=3, normalizer=lambda s, *, mask=None: ops.softmax(s, mask=mask)
    ),
}
each = pytest.mark.parametrize("name", MODULES)


def look(model):
    """One program of a module's output and its weights."""
    return jax.jit(functools.partial(nn.apply_with_weights, model))


@functools.cache
def example(name):
    rngs = jax.random.split(jax.random.key(1), 3)
    shapes = (2, 3, 7), (2, 5, 7), (2, 5, 11)
    arrays = [jax.random.normal(rng, shape) for rng, shape in zip(rngs, shapes, strict=True)]
    model = MODULES[name]
    return model, jax.jit(model.init)(jax.random.key(0), *arrays), arrays


def functional(name, params, arrays):
    """What the function of `ops` says for the module's parameters."""
    if name in ("dot", "scaled"):
        function = ops.dot_product_attention if name == "dot" else ops.scaled_dot_product_attention
        return function(*arrays)
    if name == "additive":
        return ops.additive_attention(*arrays, **params)
    if name == "feed_forward":
        layers = [(params[f"kernel_{i}"], params[f"bias_{i}"]) for i in range(3)]
        return ops.feed_forward_attention(*arrays, layers=layers)
    kernels = {f"w_{part}": params[part]["kernel"] for part in ("query", "key", "value", "out")}
    return ops.multi_head_attention(*arrays, **kernels)


@each
def test_a_module_is_its_function(name):
    model, variables, arrays = example(name)
    context, weights = look(model)(variables, *arrays)
    of_function = jax.jit(functional, static_argnums=0)
    expected, expected_weights = of_function(name, variables.get("params", {}), arrays)
    np.testing.assert_allclose(context, expected, atol=1e-5)
    np.testing.assert_allclose(weights["weights"], expected_weights, atol=1e-6)


@each
def test_it_has_the_six_hook_points(name):
    model, variables, arrays = example(name)
    points = hook_points(model.apply)(variables, *arrays)
    assert [p.name for p in points if not p.is_observation] == POINTS


@each
def test_the_output_does_not_depend_on_who_looks(name):
    model, variables, arrays = example(name)
    plain = jax.jit(model.apply)(variables, *arrays)
    captured, _ = jax.jit(capture(model.apply))(variables, *arrays)
    sown, _ = jax.jit(lambda *a: model.apply(*a, mutable=["intermediates"]))(variables, *arrays)
    np.testing.assert_array_equal(plain, captured)
    np.testing.assert_array_equal(plain, sown)


@each
def test_stock_flax_code_sees_the_weights(name):
    model, variables, arrays = example(name)
    assert set(variables) <= {"params"}
    _, state = model.apply(variables, *arrays, mutable=["intermediates"])
    _, captured = nn.apply_with_weights(model, variables, *arrays)
    (sown,) = state["intermediates"]["weights"]
    np.testing.assert_allclose(sown, captured["weights"], atol=1e-6)


@each
def test_nothing_is_sown_unless_asked_for(name):
    model, variables, arrays = example(name)
    closed = jax.make_jaxpr(model.apply)(variables, *arrays)
    sowing = jax.make_jaxpr(lambda *a: model.apply(*a, mutable=["intermediates"]))(
        variables, *arrays
    )
    assert len(sowing.out_avals) == len(closed.out_avals) + 1


@each
def test_edited_weights_change_the_context(name):
    model, variables, arrays = example(name)
    first = lambda weights, site: jnp.zeros_like(weights).at[..., 0].set(1)  # noqa: E731
    edited = jax.jit(intervene(model.apply, {"weights": first}))(variables, *arrays)
    query, key, value = arrays
    only = model.apply(variables, query, key[:, :1], value[:, :1])
    np.testing.assert_allclose(edited, only, atol=1e-5)


@each
def test_a_masked_batch_equals_the_sequences_alone(name):
    model, variables, (query, key, value) = example(name)
    mask = ops.padding_mask(5, lengths=jnp.array([5, 3]))
    heads = "heads" if isinstance(model, nn.MultiHeadAttention) else ""
    context = model.apply(variables, query, key, value, mask=mask[:, None] if heads else mask)
    alone = model.apply(variables, query[1:], key[1:, :3], value[1:, :3])
    np.testing.assert_allclose(context[1:], alone, atol=1e-5)


@each
def test_dropout_comes_after_what_is_captured(name):
    model, _, arrays = example(name)
    model = dataclasses.replace(model, dropout_rate=0.5)
    variables = model.init(jax.random.key(0), *arrays)
    apply = lambda *a: model.apply(*a, deterministic=False, rngs={"dropout": jax.random.key(2)})  # noqa: E731
    dropped, captured = capture(apply, "weights")(variables, *arrays)
    whole, weights = nn.apply_with_weights(model, variables, *arrays)
    np.testing.assert_allclose(captured["weights"], weights["weights"], atol=1e-6)
    assert not np.allclose(dropped, whole)


@each
def test_bfloat16(name):
    model, variables, arrays = example(name)
    model = dataclasses.replace(model, dtype="bfloat16")
    context, captured = look(model)(variables, *arrays)
    assert context.dtype == jnp.bfloat16
    assert captured["weights"].dtype == jnp.float32
    whole = MODULES[name].apply(variables, *arrays)
    np.testing.assert_allclose(np.asarray(context, np.float32), whole, atol=0.15)


def test_it_takes_the_parameters_of_flax_own_module():
    x = jax.random.normal(jax.random.key(0), (2, 5, 6))
    theirs = linen.MultiHeadDotProductAttention(num_heads=3)
    variables = theirs.init(jax.random.key(1), x)
    mask = ops.causal_mask(5, 5)
    ours = nn.MultiHeadAttention(num_heads=3, causal=True).apply(variables, x)
    np.testing.assert_allclose(ours, theirs.apply(variables, x, mask=mask), atol=1e-5)


def test_causal_and_window_are_the_same_fused_and_unfused():
    x = jax.random.normal(jax.random.key(0), (2, 7, 6))
    fused = nn.MultiHeadAttention(num_heads=3, causal=True, window=(2, 0))
    unfused = dataclasses.replace(fused, normalizer=unfused_softmax)
    variables = jax.jit(fused.init)(jax.random.key(1), x)
    one, weights = look(fused)(variables, x)
    other, unfused_weights = look(unfused)(variables, x)
    np.testing.assert_allclose(one, other, atol=1e-6)
    np.testing.assert_allclose(weights["weights"], unfused_weights["weights"], atol=2e-6)
    assert np.count_nonzero(weights["weights"][0, 0, 6]) == 3


def test_heads_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match=r"num_heads=5 must divide .* 64 .* divisors are 4 and 8"):
        nn.MultiHeadAttention(num_heads=5).init(jax.random.key(0), jnp.ones((2, 3, 64)))


@pytest.mark.parametrize("name", ["additive", "multi_head"])
def test_pooling_looks_with_one_learned_query(name):
    x = jax.random.normal(jax.random.key(0), (2, 5, 6))
    model = nn.AttentionPooling(MODULES[name].clone())
    mask = jnp.array([[True] * 5, [True, True, True, False, False]])
    variables = jax.jit(model.init)(jax.random.key(1), x)
    pooled, captured = look(model)(variables, x, key_mask=mask)
    assert pooled.shape == (2, 6)
    (weights,) = captured.values()
    assert weights.shape[-2:] == (1, 5)
    np.testing.assert_array_equal(weights[1, ..., 3:], 0)
    np.testing.assert_allclose(pooled[1], model.apply(variables, x[1:, :3])[0], atol=1e-5)


def test_intermediates_that_are_fed_back_do_not_grow():
    model, x = nn.MultiHeadAttention(num_heads=2), jnp.ones((2, 5, 8))
    variables = params = model.init(jax.random.key(0), x)
    for _ in range(3):
        _, state = model.apply(variables, x, mutable=["intermediates"])
        variables = {**params, **state}
    assert len(state["intermediates"]["weights"]) == 1


def test_two_calls_of_one_module_are_both_sown():
    class Twice(linen.Module):
        def setup(self):
            self.attention = nn.MultiHeadAttention(num_heads=2)

        def __call__(self, x):
            return self.attention(self.attention(x))

    model, x = Twice(), jnp.ones((2, 5, 8))
    variables = params = model.init(jax.random.key(0), x)
    for _ in range(2):
        _, state = model.apply(variables, x, mutable=["intermediates"])
        assert len(state["intermediates"]["attention"]["weights"]) == 2
        variables = {**params, **state}

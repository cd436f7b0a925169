"""The further modules are their functions with parameters, and have the same hook points."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import nn, ops
from attn_jax.hooks import hook_points, intervene

POINTS = ["query", "key", "value", "scores", "weights", "context"]
MASK = jnp.asarray(np.random.default_rng(0).random((2, 3, 5)) < 0.7)


def location_sensitive(*arrays, **parameters):
    return ops.location_sensitive_attention(*arrays, state=jnp.zeros((2, 3, 5)), **parameters)


def cosine(*arrays, log_temperature, mask):
    return ops.cosine_attention(*arrays, temperature=jnp.exp(log_temperature), mask=mask)


def mocha(*arrays, **parameters):
    return ops.mocha_attention(*arrays, width=2, **parameters)


# name: (module, its function of the parameters, whether it returns a state too)
MODULES = {
    "bilinear": (nn.BilinearAttention(), ops.bilinear_attention, False),
    "concat": (nn.ConcatAttention(hidden_dim=13), ops.concat_attention, False),
    "location": (nn.LocationAttention(max_keys=11), ops.location_attention, False),
    "cosine": (nn.CosineAttention(temperature=0.2), cosine, False),
    "projected before": (
        nn.AdditiveAttention(hidden_dim=7, project_key=False),
        functools.partial(ops.additive_attention, w_key=None),
        False,
    ),
    "blocked": (nn.AdditiveAttention(block_size=1), ops.additive_attention, False),
    "local-m": (
        nn.LocalMAttention(half_width=1),
        functools.partial(ops.local_m_attention, half_width=1),
        False,
    ),
    "local-p": (
        nn.LocalPAttention(half_width=2),
        functools.partial(ops.local_p_attention, half_width=2),
        False,
    ),
    "mocha": (nn.MochaAttention(width=2, noise=0.5), mocha, False),
    "monotonic": (nn.MonotonicAttention(), ops.monotonic_attention, True),
    "location sensitive": (
        nn.LocationSensitiveAttention(num_filters=3, filter_width=4),
        location_sensitive,
        True,
    ),
    "gaussian mixture": (
        nn.GaussianMixtureAttention(num_windows=2),
        ops.gaussian_mixture_attention,
        True,
    ),
}
each = pytest.mark.parametrize("name", MODULES)


@functools.cache
def example(name):
    rngs = jax.random.split(jax.random.key(1), 3)
    shapes = (2, 3, 7), (2, 5, 7), (2, 5, 11)
    arrays = tuple(jax.random.normal(r, s) for r, s in zip(rngs, shapes, strict=True))
    model = MODULES[name][0]
    rngs = {"params": jax.random.key(0), "noise": jax.random.key(2)}
    return model, jax.jit(model.init)(rngs, *arrays), arrays


def context_of(name, out):
    return out[0] if MODULES[name][2] else out


@each
def test_a_module_is_its_function(name):
    model, variables, arrays = example(name)
    apply = jax.jit(functools.partial(nn.apply_with_weights, model))
    out, weights = apply(variables, *arrays, mask=MASK)
    expected, expected_weights = jax.jit(MODULES[name][1])(
        *arrays, **variables.get("params", {}), mask=MASK
    )
    np.testing.assert_allclose(context_of(name, out), expected, atol=1e-5)
    np.testing.assert_allclose(weights["weights"], expected_weights, atol=1e-6)


@each
def test_it_has_the_six_hook_points_and_sows_its_weights(name):
    model, variables, arrays = example(name)
    assert [p.name for p in hook_points(model.apply)(variables, *arrays)] == POINTS
    shapes = jax.eval_shape(
        lambda *a: model.apply(*a, mutable=["intermediates"]), variables, *arrays
    )
    (sown,) = shapes[1]["intermediates"]["weights"]
    assert sown.shape == (2, 3, 5)


@each
def test_edited_weights_change_the_context(name):
    model, variables, (query, key, value) = example(name)
    first = lambda weights, site: jnp.zeros_like(weights).at[..., 0].set(1)  # noqa: E731
    run = jax.jit(intervene(model.apply, {"weights": first}))
    context = context_of(name, run(variables, query, key, value))
    np.testing.assert_allclose(context, jnp.broadcast_to(value[:, :1], context.shape), atol=1e-6)


@each
def test_bfloat16(name):
    model, variables, arrays = example(name)
    apply = jax.jit(functools.partial(nn.apply_with_weights, model.clone(dtype="bfloat16")))
    out, captured = apply(variables, *arrays)
    assert context_of(name, out).dtype == jnp.bfloat16
    assert captured["weights"].dtype == jnp.float32
    whole = nn.apply_with_weights(model, variables, *arrays)[1]["weights"]
    np.testing.assert_allclose(captured["weights"], whole, atol=0.1)


@pytest.mark.parametrize("name", ["monotonic", "mocha"])
def test_readers_have_noise_in_training_only(name):
    model, variables, arrays = example(name)
    rngs = {"noise": jax.random.key(3)}
    noisy = model.apply(variables, *arrays, deterministic=False, rngs=rngs)
    still = model.apply(variables, *arrays)
    assert not np.allclose(context_of(name, noisy), context_of(name, still))


@pytest.mark.parametrize("name", ["monotonic", "location sensitive", "gaussian mixture"])
def test_the_state_goes_from_step_to_step(name):
    """One query after another; those that describe all queries at once agree with it."""
    model, variables, (query, key, value) = example(name)
    whole, _ = model.apply(variables, query, key, value)
    state, contexts = None, []
    for i in range(3):
        given = {} if state is None else {"state": state}
        context, state = model.apply(variables, query[:, i : i + 1], key, value, **given)
        state = state[:, -1] if name == "monotonic" else state
        contexts.append(context)
    steps = jnp.concatenate(contexts, axis=1)
    if name == "location sensitive":  # given all queries, none has a step before
        np.testing.assert_allclose(steps[:, :1], whole[:, :1], atol=1e-5)
        assert not np.allclose(steps[:, 1:], whole[:, 1:], atol=1e-4)
    else:
        np.testing.assert_allclose(steps, whole, atol=1e-5)


def test_a_hard_reader_takes_the_same_parameters():
    model, variables, arrays = example("monotonic")
    _, weights = model.clone(normalizer=ops.hard_monotonic).apply(variables, *arrays)
    assert set(np.unique(weights)) <= {0.0, 1.0}


@pytest.mark.parametrize("normalizer", [nn.Entmax, nn.SoftmaxWithSink])
def test_normalizers_with_parameters_learn(normalizer):
    x = jax.random.normal(jax.random.key(0), (2, 5, 6))
    model = nn.MultiHeadAttention(num_heads=3, normalizer=normalizer(num_heads=3))
    variables = model.init(jax.random.key(1), x)
    gradients = jax.jit(jax.grad(lambda v: (model.apply(v, x) ** 2).sum()))(variables)
    (gradient,) = jax.tree.leaves(gradients["params"]["normalizer"])
    assert gradient.shape == (3, 1, 1)
    assert np.all(np.abs(gradient) > 0)
    single = nn.DotProductAttention(normalizer=normalizer())
    variables = single.init(jax.random.key(1), x, x, x)
    _, weights = nn.apply_with_weights(single, variables, x, x, x)
    plain = ops.entmax15 if normalizer is nn.Entmax else ops.softmax_with_sink
    expected = ops.dot_product_attention(x, x, x, normalizer=plain)[1]
    np.testing.assert_allclose(weights["weights"], expected, atol=1e-6)

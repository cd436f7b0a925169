"""The importance of heads, compared with gates opened and shut one by one."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from attn_jax import measure, nn

N, T, C, H = 13, 5, 3, 2
X = jax.random.normal(jax.random.key(0), (N, T, 8))
TARGET = jax.random.randint(jax.random.key(1), (N,), 0, C)


class Layer(linen.Module):
    @linen.compact
    def __call__(self, x, _):
        return x + nn.MultiHeadAttention(num_heads=H, name="attention")(x), None


class Model(linen.Module):
    """A scanned stack of two layers and one more."""

    @linen.compact
    def __call__(self, x):
        split = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}}
        x, _ = linen.scan(Layer, length=2, **split)(name="layers")(x, None)
        x, _ = Layer(name="last")(x, None)
        return linen.Dense(C)(x.mean(1))


MODEL = Model()
VARIABLES = MODEL.init(jax.random.key(2), X)
NAMES = {"layers.*.attention.weights": (2, H), "last.attention.weights": (H,)}


def fn(x):
    return MODEL.apply(VARIABLES, x)


def gated(gates):
    """Return the logits with each head's output projection scaled, which scales the head."""
    params = jax.tree.map(jnp.array, VARIABLES)["params"]
    for name, gate in gates.items():
        out = params[name.split(".")[0]]["attention"]["out"]
        out["kernel"] = out["kernel"] * gate[..., None, None]
    return MODEL.apply({"params": params}, X)


def losses(gates):
    logits = np.float64(gated(gates))
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return -logs[np.arange(N), TARGET]


def ones():
    return {name: np.ones(shape, np.float32) for name, shape in NAMES.items()}


def test_importance_by_gradient_is_the_slope_of_the_gate():
    result = jax.jit(lambda x: measure.head_importance(fn, x, TARGET))(X)
    step = 1e-2
    for name, shape in NAMES.items():
        for index in np.ndindex(*shape):
            up, down = ones(), ones()
            up[name][index] += step
            down[name][index] -= step
            slope = (losses(up) - losses(down)) / (2 * step)
            np.testing.assert_allclose(
                result[name][index], np.abs(slope).mean(), rtol=0.02, atol=1e-4
            )


def test_ablation_is_the_rise_with_the_gate_shut():
    result = jax.jit(lambda x: measure.head_ablation(fn, x, TARGET))(X)
    for name, shape in NAMES.items():
        for index in np.ndindex(*shape):
            shut = ones()
            shut[name][index] = 0
            rise = losses(shut).mean() - losses(ones()).mean()
            np.testing.assert_allclose(result[name][index], rise, atol=1e-5)


def test_heads_are_pruned_in_the_order_given():
    order = np.random.default_rng(0).permutation(6).astype(np.float32)
    importance = {
        "last.attention.weights": jnp.array(order[:2]),
        "layers.*.attention.weights": jnp.array(order[2:].reshape(2, 2)),
    }
    result = measure.pruning_curve(fn, X, TARGET, importance, rng=jax.random.key(3), draws=3)
    flat = [
        (float(v), name, index) for name, a in importance.items() for index, v in np.ndenumerate(a)
    ]
    gates, expected = ones(), [np.mean(gated(ones()).argmax(-1) == TARGET)]
    for _, name, index in sorted(flat, key=lambda x: x[0]):
        gates[name][index] = 0
        expected.append(np.mean(gated(gates).argmax(-1) == TARGET))
    np.testing.assert_allclose(result.accuracy, expected, atol=1e-6)
    np.testing.assert_allclose(result.share, np.linspace(0, 1, 7), atol=1e-6)
    np.testing.assert_allclose(result.random[::6], result.accuracy[::6], atol=1e-6)


def test_a_single_logit_is_pruned_as_two():
    def one(x):
        return fn(x)[:, :1]

    def two(x):
        half = one(x) / 2
        return jnp.concatenate([-half, half], -1)

    target = jnp.where(one(X)[:, 0] > 0, TARGET > 0, TARGET > 1).astype(int)
    for measured in (measure.head_importance, measure.head_ablation):
        result, expected = measured(one, X, target), measured(two, X, target)
        for name in NAMES:
            assert np.abs(result[name]).max() > 0
            np.testing.assert_allclose(result[name], expected[name], atol=1e-6)
    order = measure.head_importance(two, X, target)
    curve = measure.pruning_curve(one, X, target, order, rng=jax.random.key(0), draws=2)
    right = (np.asarray(one(X))[:, 0] > 0) == (np.asarray(target) == 1)
    assert 0 < right.mean() < 1
    np.testing.assert_allclose(curve.accuracy[0], right.mean(), atol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: measure.head_importance(fn, X, TARGET[:5]),
            "(..., n, h, q, k) with n=5 is needed to tell heads apart",
        ),
        (
            lambda: measure.pruning_curve(fn, X, TARGET, {"a": jnp.ones(3)}, rng=jax.random.key(0)),
            "importance has heads {'a': (3,)}, but the model has {'last.attention.weights': (2,)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()

"""Hook points under the flags of JAX's next engine: seen as without them, or refused by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from attn_jax.hooks import HookError, capture, hook_points, intervene, tap, tap_attention

X = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4)), jnp.float32)


@pytest.fixture
def flag(request):
    if request.param not in jax.config.values:
        pytest.skip(f"this jax has no flag {request.param}")
    before = jax.config.values[request.param]
    jax.config.update(request.param, True)
    yield request.param
    jax.config.update(request.param, before)


def with_flag(name):
    return pytest.mark.parametrize("flag", [name], indirect=True)


def two_taps(x):
    return tap("second", jnp.sin(tap("first", 2 * x)))


@with_flag("jax_remat3")
def test_checkpoints(flag):
    fn = jax.checkpoint(two_taps)
    assert [point.name for point in hook_points(fn)(X)] == ["first", "second"]
    np.testing.assert_allclose(capture(fn)(X)[1]["first"], 2 * X)
    edited = intervene(fn, {"first": lambda value, site: value + 1})
    np.testing.assert_allclose(edited(X), jnp.sin(2 * X + 1), rtol=1e-6)
    slope = jax.grad(lambda x: edited(x).sum())(X)
    np.testing.assert_allclose(slope, 2 * jnp.cos(2 * X + 1), rtol=1e-5)
    names = [p.name for p in hook_points(jax.grad(lambda x: fn(fn(x)).sum()))(X)]
    assert names == ["first", "second", "first#1", "second#1"]


@with_flag("jax_remat3")
def test_attention_in_a_checkpoint(flag):
    fn = jax.checkpoint(lambda x: jax.nn.softmax(x @ x.T) @ x)
    silent = intervene(tap_attention(fn), {"weights": lambda w, site: 0 * w})
    np.testing.assert_array_equal(silent(X), 0)


@with_flag("jax_custom_vjp3")
def test_custom_derivatives(flag):
    fn = jax.custom_vjp(two_taps)
    fn.defvjp(lambda x: (two_taps(x), None), lambda _, gradient: (7 * gradient,))
    assert [point.name for point in hook_points(fn)(X)] == ["first", "second"]
    np.testing.assert_allclose(capture(fn)(X)[1]["first"], 2 * X)
    with pytest.raises(HookError, match="inside 'custom_vjp', whose own rule"):
        intervene(fn, {"first": lambda value, site: value})(X)
    np.testing.assert_allclose(jax.grad(lambda x: capture(fn)(x)[0].sum())(X), 7)


@with_flag("jax_scan3")
def test_scans_are_refused_by_name(flag):
    def fn(x):
        return lax.scan(lambda total, row: (total + tap("row", row), None), jnp.zeros(4), x)

    with pytest.raises(HookError, match="cannot capture hook point 'row': it lies inside 'Scan3'"):
        capture(fn)(X)

"""A tap that nobody asks about leaves no trace in the compiled program."""

import re

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from attn_jax import hooks, ops
from attn_jax.ops.fused import attention as fused

T, H, D, LAYERS = 7, 2, 3, 5


def with_taps(name, value):
    return hooks.tap(name, value)


def without_taps(name, value):
    return value


def attention(x, weight, mark):
    query, key = mark("query", x @ weight), mark("key", x)
    weights = mark("weights", ops.softmax(mark("scores", query @ key.T)))
    return mark("context", weights @ x)


def forward(mark):
    return lambda x, weights: attention(x, weights[0], mark).sum()


def scanned(mark):
    @jax.checkpoint
    def layer(x, weight):
        return x + attention(x, weight, mark), None

    return lambda x, weights: lax.scan(layer, x, weights)[0].sum()


def gradient(mark):
    return jax.grad(forward(mark), argnums=1)


def scanned_gradient(mark):
    return jax.grad(scanned(mark), argnums=1)


def batched_gradient(mark):
    return jax.vmap(gradient(mark), in_axes=(0, None))


def compiled(fn, x):
    def program(x, weights):
        return fn(x, weights)

    text = jax.jit(program).lower(x, jnp.ones((LAYERS, D, D))).compile().as_text()
    # Metadata and the tables of files, functions and lines that it points into.
    text = re.sub(r",? metadata=\{[^}]*\}", "", text)
    return re.sub(r"^\d+ [\"{].*\n", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize(
    "build",
    [forward, gradient, scanned, scanned_gradient, batched_gradient],
    ids=lambda f: f.__name__,
)
def test_the_program_is_the_same(build):
    shape = (2, T, D) if build is batched_gradient else (T, D)
    x = jnp.linspace(-1, 1, 2 * T * D).reshape(2, T, D)[: shape[0] if len(shape) == 3 else 1]
    x = x.reshape(shape)
    program = compiled(build(with_taps), x)
    assert "exponential" in program
    assert program == compiled(build(without_taps), x)


def test_the_fused_program_is_the_same(monkeypatch):
    def loss(x, weights):
        x = (x @ weights[0]).reshape(T, 1, D)
        return jax.grad(lambda x: fused.attention(x, x, x, causal=True).sum())(x)

    x = jnp.linspace(-1, 1, T * D).reshape(T, D)
    program = compiled(loss, x)
    monkeypatch.setattr(fused, "tap_derived", lambda site, value, operands: value)
    assert program == compiled(loss, x)

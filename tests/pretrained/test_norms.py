"""Normalizations that can be looked into, against Flax's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from attn_jax.hooks import capture, intervene
from attn_jax.pretrained.families.norms import LayerNorm, RMSNorm

PAIRS = {
    "layer": (LayerNorm(1e-3), nn.LayerNorm(1e-3, use_fast_variance=False)),
    "root mean square": (RMSNorm(1e-3), nn.RMSNorm(1e-3)),
}


@pytest.fixture(params=PAIRS)
def pair(request):
    ours, flax = PAIRS[request.param]
    x = 3 + 2 * jax.random.normal(jax.random.key(0), (2, 3, 5))
    variables = jax.tree.map(
        lambda leaf: jax.random.normal(jax.random.key(1), leaf.shape),
        flax.init(jax.random.key(0), x),
    )
    return ours, flax, variables, x


def test_it_computes_the_same(pair):
    ours, flax, variables, x = pair
    shapes = jax.tree.map(jnp.shape, ours.init(jax.random.key(0), x))
    assert shapes == jax.tree.map(jnp.shape, variables)
    out, captured = capture(ours.apply, "*")(variables, x)
    np.testing.assert_allclose(out, flax.apply(variables, x), atol=1e-6)
    np.testing.assert_array_equal(captured["output"], out)
    scale = np.asarray(variables["params"]["scale"])
    bias = np.asarray(variables["params"].get("bias", np.zeros(5)))
    np.testing.assert_allclose(np.asarray(captured["normalized"]) * scale + bias, out, atol=1e-6)
    center = x.mean(-1, keepdims=True) if "bias" in variables["params"] else 0
    product = captured["normalized"] * captured["denominator"]
    np.testing.assert_allclose(product, x - center, atol=1e-5)


def test_the_denominator_of_another_input_can_be_held(pair):
    ours, _, variables, x = pair
    _, captured = capture(ours.apply, "denominator")(variables, x)
    held = intervene(ours.apply, {"denominator": lambda value, site: captured["denominator"]})
    bias = ours.apply(variables, jnp.zeros_like(x))
    once, twice = (held(variables, factor * x) - bias for factor in (1, 2))
    np.testing.assert_allclose(twice, 2 * once, atol=1e-5)

"""Normalizations with a hook point at their denominator, against Flax's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from attn_jax.hooks import capture, intervene, patch
from attn_jax.pretrained.families.norms import LayerNorm, RMSNorm

X = 3 * jax.random.normal(jax.random.key(0), (2, 5, 7)) + 1
PEERS = {
    "layer": (LayerNorm(1e-5), linen.LayerNorm(epsilon=1e-5, use_fast_variance=False)),
    "rms": (RMSNorm(1e-6), linen.RMSNorm(epsilon=1e-6)),
}


@pytest.fixture(params=PEERS)
def pair(request, draw_variables):
    model, peer = PEERS[request.param]
    return model, peer, draw_variables(peer, X)


def test_they_compute_what_flax_does_with_its_parameters(pair):
    model, peer, variables = pair
    np.testing.assert_allclose(model.apply(variables, X), peer.apply(variables, X), atol=2e-6)
    shapes = jax.eval_shape(model.init, jax.random.key(0), X)
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, shapes)


def test_they_are_linear_with_the_denominator_held_fixed(pair):
    model, _, variables = pair

    def apply(x):
        return model.apply(variables, x)

    _, captured = capture(apply, "denominator")(X)
    assert captured["denominator"].shape == (2, 5, 1)
    fixed = intervene(apply, {"denominator": patch(captured)})
    bias = fixed(jnp.zeros_like(X))
    np.testing.assert_allclose(fixed(2 * X) - bias, 2 * (apply(X) - bias), atol=1e-5)

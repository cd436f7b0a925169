"""Co-attention is its function with a parameter, both ways, and can be looked into."""

import jax
import jax.numpy as jnp
import numpy as np

from attn_jax import nn, ops
from attn_jax.hooks import intervene

FIRST, SECOND = (
    jax.random.normal(jax.random.key(i), (2, *shape)) for i, shape in enumerate([(7, 3), (5, 4)])
)
MASK = jnp.ones((7, 5), bool).at[:, 2].set(False)


def test_it_is_its_function():
    model = nn.CoAttention()
    variables = model.init(jax.random.key(2), FIRST, SECOND)
    outputs, seen = nn.apply_with_weights(model, variables, FIRST, SECOND, mask=MASK)
    w = variables["params"]["w"]
    (context, weights), (back_context, back) = ops.co_attention(FIRST, SECOND, w=w, mask=MASK)
    np.testing.assert_allclose(outputs[0], context, atol=1e-6)
    np.testing.assert_allclose(outputs[1], back_context, atol=1e-6)
    np.testing.assert_allclose(seen["weights"], weights, atol=1e-6)
    np.testing.assert_allclose(seen["back_weights"], back, atol=1e-6)
    _, state = model.apply(variables, FIRST, SECOND, mask=MASK, mutable=["intermediates"])
    np.testing.assert_allclose(state["intermediates"]["back_weights"][0], back, atol=1e-6)


def test_one_direction_may_be_edited():
    model = nn.CoAttention()
    variables = model.init(jax.random.key(2), FIRST, SECOND)
    plain, _ = model.apply(variables, FIRST, SECOND)
    uniform = {"back_weights": lambda weights, site: jnp.full_like(weights, 1 / 7)}
    same, edited = intervene(model.apply, uniform)(variables, FIRST, SECOND)
    np.testing.assert_array_equal(same, plain)
    mean = jnp.broadcast_to(FIRST.mean(axis=1, keepdims=True), edited.shape)
    np.testing.assert_allclose(edited, mean, atol=1e-5)

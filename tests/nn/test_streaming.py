"""A module that attends block by block computes the same, and sows a summary."""

import jax
import jax.numpy as jnp
import numpy as np

from attn_jax import nn
from attn_jax.hooks import capture
from attn_jax.ops import Summary

X = jax.random.normal(jax.random.key(0), (2, 13, 6))
PLAIN = nn.MultiHeadAttention(num_heads=3, num_key_value_heads=1, causal=True, window=(5, 2))
STREAMED = PLAIN.clone(implementation="streaming")
VARIABLES = PLAIN.init(jax.random.key(1), X)


def test_it_computes_and_learns_the_same():
    def answer(model):
        def loss(params):
            return (model.apply({"params": params}, X) ** 2).mean()

        return jax.jit(jax.value_and_grad(loss))(VARIABLES["params"])

    jax.tree.map(
        lambda x, wanted: np.testing.assert_allclose(x, wanted, rtol=1e-5, atol=1e-6),
        answer(STREAMED),
        answer(PLAIN),
    )


def test_it_sows_its_summary_and_no_weights():
    _, weights = nn.apply_with_weights(PLAIN, VARIABLES, X)
    out, state = jax.jit(lambda x: STREAMED.apply(VARIABLES, x, mutable=["intermediates"]))(X)
    assert set(state["intermediates"]) == {"summary"}
    (found,) = state["intermediates"]["summary"]
    np.testing.assert_allclose(found.pooled, weights["weights"], atol=1e-6)
    np.testing.assert_allclose(found.received, weights["weights"].sum(-2), atol=1e-5)
    np.testing.assert_array_equal(out, jax.jit(STREAMED.apply)(VARIABLES, X))


def test_either_can_be_asked_for_its_summary():
    _, weights = nn.apply_with_weights(PLAIN, VARIABLES, X)
    largest = jnp.sort(weights["weights"], axis=-1)[..., :-3:-1]
    for model in (PLAIN, STREAMED):
        asked = capture(model.apply, {"*.summary": Summary(top_k=2)})
        captured = jax.jit(asked)(VARIABLES, X)[1]
        np.testing.assert_allclose(captured["summary"].top_weights, largest, atol=1e-6)

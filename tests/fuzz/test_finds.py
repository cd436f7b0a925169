"""What fuzzing found, as fixed cases: each failed once, and holds since."""

import jax.numpy as jnp
import numpy as np

from attn_jax import ops


def test_a_hidden_value_that_is_nan_reaches_no_context():
    # Seed 0: only the whole attentions put zeros there, not their last stage by itself.
    value = jnp.array([[1.0], [jnp.nan]])
    for hide in ({"mask": jnp.array([True, False])}, {"bias": jnp.array([0.0, -jnp.inf])}):
        context, weights = ops.attend(jnp.zeros((1, 2)), value, **hide)
        np.testing.assert_array_equal(context, [[1.0]])
        np.testing.assert_array_equal(weights, [[1.0, 0.0]])


def test_a_key_that_is_nan_and_hidden_by_a_bias_reaches_no_row():
    # Seed 13: NaN and minus infinity add up to NaN.
    query, key = jnp.ones((1, 1, 2)), jnp.ones((2, 1, 2)).at[1].set(jnp.nan)
    bias = jnp.array([0.0, -jnp.inf])
    weights = ops.attention_rows(query, key, rows=jnp.array([0]), bias=bias)
    np.testing.assert_array_equal(weights, [[[1.0, 0.0]]])
    np.testing.assert_array_equal(ops.add_bias(jnp.array([2.0, jnp.nan]), bias), [2.0, -jnp.inf])

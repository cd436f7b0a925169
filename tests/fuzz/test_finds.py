"""What fuzzing found, as fixed cases: each failed once, and holds since."""

import jax.numpy as jnp
import numpy as np
import pytest

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


X, W, ONES = jnp.ones((2, 3)), jnp.ones((3, 3)), jnp.ones(3)
FLAT = {
    "additive": (lambda: ops.additive_scores(X, X, w_query=W, w_key=W, v=W[0, 0]), "v"),
    "concat": (lambda: ops.concat_scores(X, X, w=jnp.ones((6, 3)), v=W[0, 0]), "v"),
    "mixture": (lambda: ops.gaussian_mixture(X, w=W, b=W[0, 0]), "b"),
    "linformer": (lambda: ops.linformer_weights(X, X, w_key=ONES, w_value=W), "w_key"),
    "performer": (lambda: ops.performer_weights(X, X, projection=ONES), "projection"),
    "norm": (lambda: ops.rms_normalize(X, W[0, 0], 1e-6), "scale"),
    "position": (
        lambda: ops.predicted_position(X, 5, w_position=W, v_position=W[0, 0]),
        "v_position",
    ),
}


@pytest.mark.parametrize("name", FLAT)
def test_a_parameter_of_another_rank_is_named(name, unchecked):
    # Seed 0: an IndexError, "tuple index out of range".
    call, parameter = FLAT[name]
    with pytest.raises(ValueError, match=rf"^{parameter} has shape .* but must have the axes \("):
        call()

"""Integers are the floats that they are, in every attention of the family."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import ops

N, D = 3, 2
QUERY = jnp.array([[1, 2], [0, 1], [3, 1]])
KEY = jnp.array([[4, 5], [1, 0], [2, 2]])
VALUE = jnp.array([[13, 14], [16, 17], [19, 20]])
W = jnp.array([[1.0, -0.5], [0.25, 0.5]])
ROWS = jnp.array([0, 1, 0])
ENERGY = {"w_query": W, "w_key": W, "v": W[0]}
CHUNK = {f"chunk_{name}": x for name, x in ENERGY.items()}
FAMILY = {
    "dot": ops.dot_product_attention,
    "scaled dot": ops.scaled_dot_product_attention,
    "cosine": ops.cosine_attention,
    "additive": functools.partial(ops.additive_attention, **ENERGY),
    "concat": functools.partial(ops.concat_attention, w=jnp.ones((4, 2)), v=W[0]),
    "feed-forward": functools.partial(
        ops.feed_forward_attention, layers=[(jnp.ones((4, 1)), jnp.ones(1))]
    ),
    "bilinear": functools.partial(ops.bilinear_attention, w=W),
    "location": functools.partial(ops.location_attention, w=jnp.ones((2, 3))),
    "local-m": functools.partial(ops.local_m_attention, w=W, half_width=1),
    "local-p": functools.partial(
        ops.local_p_attention, w=W, w_position=W, v_position=W[0], half_width=2
    ),
    "monotonic": functools.partial(ops.monotonic_attention, **ENERGY),
    "mocha": functools.partial(ops.mocha_attention, width=2, **ENERGY, **CHUNK),
    "location-sensitive": functools.partial(
        ops.location_sensitive_attention,
        state=jnp.full((N, N), 1 / 3),
        w_location=jnp.ones((1, 2)),
        filters=jnp.ones((3, 1)),
        **ENERGY,
    ),
    "Gaussian mixture": functools.partial(
        ops.gaussian_mixture_attention, w=jnp.full((2, 3), 0.1), b=jnp.zeros(3)
    ),
    "linear": ops.linear_attention,
    "performer": functools.partial(
        ops.performer_attention, projection=ops.performer_projection(D, 3, rng=jax.random.key(0))
    ),
    "linformer": functools.partial(ops.linformer_attention, w_key=W[ROWS], w_value=W[ROWS[::-1]]),
    "nystrom": functools.partial(ops.nystrom_attention, num_landmarks=2),
    "sparsemax": functools.partial(ops.scaled_dot_product_attention, normalizer=ops.sparsemax),
    "attend": lambda query, key, value: ops.attend(query @ key.T, value),
}
HEADS = {
    "attention": ops.attention,
    "streaming": ops.streaming_attention,
    "talking heads": functools.partial(
        ops.talking_heads_attention, w_scores=jnp.eye(1), w_weights=jnp.eye(1)
    ),
}


@pytest.mark.parametrize("name", FAMILY | HEADS)
def test_integers_give_what_floats_give(name):
    arrays = (QUERY, KEY, VALUE)
    if name in HEADS:
        arrays = tuple(x[:, None] for x in arrays)
    function = (FAMILY | HEADS)[name]
    found = function(*arrays)
    expected = function(*(x.astype(jnp.float32) for x in arrays))
    for got, wanted in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert got.dtype == wanted.dtype == jnp.float32
        np.testing.assert_array_equal(got, wanted)


def test_the_example_of_the_readme_in_whole_numbers():
    query, key = jnp.array([[1, 2, 3]]), jnp.array([[4, 5, 6], [7, 8, 9], [10, 11, 12]])
    value = jnp.array([[13, 14, 15], [16, 17, 18], [19, 20, 21]])
    context, _ = ops.scaled_dot_product_attention(query, key, value)
    np.testing.assert_allclose(context, [[19, 20, 21]], atol=1e-3)


def test_positions_and_norms_of_integers_are_not_truncated():
    x = jnp.array([[[3, 4]], [[1, 2]]])
    wide = x.astype(jnp.float32)
    np.testing.assert_array_equal(ops.rotary(x), ops.rotary(wide))
    np.testing.assert_array_equal(ops.rotary_pairs(x), ops.rotary_pairs(wide))
    np.testing.assert_array_equal(ops.query_key_norm(x, x), ops.query_key_norm(wide, wide))


def test_stages_keep_the_fractions_of_what_meets_integers():
    maps = jnp.array([[[4, 2]]])
    np.testing.assert_array_equal(ops.mix_heads(maps, jnp.array([[0.5]])), [[[2, 1]]])
    np.testing.assert_array_equal(ops.add_bias(maps, jnp.full((1, 1, 2), 0.5)), [[[4.5, 2.5]]])


@pytest.mark.usefixtures("unchecked")
def test_booleans_are_zeros_and_ones():
    x = jnp.array([[[True, False]], [[True, True]]])
    np.testing.assert_array_equal(ops.attention(x, x, x), ops.attention(*(1.0 * x,) * 3))

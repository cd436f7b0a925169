"""Sinks and massive activations, by hand and by loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import measure


def draw(seed, *shape):
    return jax.nn.softmax(3 * jax.random.normal(jax.random.key(seed), shape))


def test_sinks_are_counted_over_heads_and_layers():
    layers = [draw(0, 3, 2, 5, 5), draw(1, 3, 4, 5, 5)]
    expected = []
    for n in range(3):
        means = [np.mean(head[:, 0]) for layer in layers for head in np.asarray(layer[n])]
        expected.append(np.mean([mean > 0.2 for mean in means]))
    assert 0 < np.mean(expected) < 1
    np.testing.assert_allclose(measure.sink_rate(layers, 0.2), expected, rtol=1e-6)
    jitted = jax.jit(measure.sink_rate, static_argnums=1)
    np.testing.assert_allclose(jitted(layers, 0.2), expected, rtol=1e-6)


def test_padded_queries_do_not_dilute_a_sink():
    layer = jnp.zeros((1, 1, 4, 4)).at[..., :2, 0].set(0.5)
    assert measure.sink_rate([layer]) == 0
    exists = jnp.array([True, True, False, False])
    assert measure.sink_rate([layer], query_mask=exists) == 1


def test_a_mean_at_the_threshold_is_no_sink():
    layer = jnp.full((1, 2, 2), 0.5)
    assert [float(measure.sink_rate([layer], x)) for x in (0.49, 0.5)] == [1, 0]


@pytest.mark.parametrize(
    ("layers", "threshold", "message"),
    [([], 0.3, "not 0 layers"), ([jnp.ones((1, 2, 2))], 1.5, "threshold=1.5 must be from 0 to 1")],
    ids=["layers", "threshold"],
)
def test_what_does_not_fit_is_refused(layers, threshold, message):
    with pytest.raises(ValueError, match=message):
        measure.sink_rate(layers, threshold)


def test_massive_activations_exceed_both_bounds():
    # The median of 48 magnitudes is 0.1: a thousand times that is 100.
    states = np.full((2, 4, 6), 0.1, np.float32)
    states[0, 0, 3], states[0, 2, 3], states[0, 1, 1] = -2600, 101, 99
    states[1] = 20  # large everywhere, so that nothing stands out
    states[1, 0, 0] = 15000
    result = measure.massive_activations(jnp.asarray(states))
    assert np.argwhere(result.is_massive).tolist() == [[0, 0, 3], [0, 2, 3]]
    np.testing.assert_allclose(result.largest, [2600, 15000])
    np.testing.assert_allclose(result.median, [0.1, 20], rtol=1e-6)
    lower = measure.massive_activations(jnp.asarray(states), ratio=700.0)
    assert np.argwhere(lower.is_massive)[-1].tolist() == [1, 0, 0]


def test_padding_has_no_part_in_the_median():
    states = jnp.ones((3, 5)).at[0, 0].set(2000.0).at[1:].set(1e6)
    mask = jnp.array([True, False, False])
    result = jax.jit(measure.massive_activations)(states, mask)
    assert np.argwhere(result.is_massive).tolist() == [[0, 0]]
    assert [float(result.median), float(result.largest)] == [1, 2000]
    nothing = measure.massive_activations(states, jnp.zeros(3, bool))
    assert np.isnan(nothing.median)
    assert not nothing.is_massive.any()

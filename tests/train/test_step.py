import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from attn_jax.train import classification_loss, init_state, make_train_step
from attn_jax.train.step import stream


def stored(size=6):
    bucket = tiny.Tiny().load()["train"][0]
    return {name: jnp.asarray(array[:size]) for name, array in bucket.items()}


def fresh(optimizer, seed=0):
    batch = tiny.Tiny().prepare(stored())
    return init_state(tiny.init(jax.random.key(1), batch), optimizer, seed)


def test_a_step_of_sgd_subtracts_the_gradient():
    optimizer = optax.sgd(0.5)
    state, batch = fresh(optimizer), tiny.Tiny().prepare(stored())
    step = make_train_step(tiny.quiet_apply, classification_loss, optimizer)
    after, metrics = step(state, batch)

    def mean_loss(params):
        return classification_loss(tiny.quiet_apply(params, batch), batch)[0]

    gradient = jax.grad(mean_loss)(state.params)
    expected = jax.tree.map(lambda p, g: p - 0.5 * g, state.params, gradient)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), after.params, expected)
    assert int(after.step) == 1
    assert float(metrics["loss"][1]) == 6


def test_the_same_state_and_batch_give_the_same_bits_and_the_next_step_other_noise():
    optimizer = optax.sgd(0.0)
    step = make_train_step(tiny.apply, classification_loss, optimizer, prepare=tiny.Tiny().prepare)
    state = fresh(optimizer)
    (after, first), (_, again) = step(state, stored()), step(state, stored())
    assert first["loss"][0] == again["loss"][0]
    assert step(after, stored())[1]["loss"][0] != first["loss"][0]
    assert step(fresh(optimizer, seed=1), stored())[1]["loss"][0] != first["loss"][0]


@pytest.mark.parametrize("other", [("b", 1), ("a", 2)])
def test_streams_differ_by_name_and_step(other):
    rng = jax.random.key(0)
    assert stream(rng, "a", 1) == stream(rng, "a", jnp.int32(1))
    assert stream(rng, "a", 1) != stream(rng, *other)


def test_the_tiny_model_overfits_one_batch():
    optimizer = optax.adam(0.05)
    state, batch = fresh(optimizer), tiny.Tiny().prepare(stored())
    step = make_train_step(tiny.quiet_apply, classification_loss, optimizer)
    for _ in range(100):
        state, metrics = step(state, batch)
    assert float(metrics["loss"][0]) < 0.01 * 6

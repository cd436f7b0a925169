import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from attn_jax.train import classification_loss, data_mesh, init_state, make_train_step
from attn_jax.train.devices import replicate
from attn_jax.train.multi_step import make_multi_step, make_zero_sums

TASK = tiny.Tiny(noise=False)
DATA = TASK.load()["train"][0]
STEPS, BATCH = 20, 8


class Setting:
    """Everything that 20 steps need, on the first so many devices."""

    def __init__(self, devices, *, loop=True, apply=tiny.quiet_apply, learning_rate=0.1):
        self.mesh = data_mesh(jax.devices()[:devices])
        optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(learning_rate))
        step = make_train_step(apply, classification_loss, optimizer, prepare=TASK.prepare)
        stored = {name: jnp.asarray(array[:BATCH]) for name, array in DATA.items()}
        params = tiny.init(jax.random.key(1), TASK.prepare(stored))
        self.state = replicate(self.mesh, init_state(params, optimizer, 0))
        self.zero_sums = make_zero_sums(step, self.state, stored, self.mesh)
        self.multi_step = make_multi_step(step, self.mesh, self.state, loop=loop)
        order = np.random.default_rng(3).integers(0, len(DATA["label"]), (STEPS, BATCH))
        self.data, self.indices = replicate(self.mesh, (DATA, order.astype(np.int32)))

    def run(self, cuts):
        """The losses at the cuts, and the state after the last."""
        state, sums = jax.tree.map(jnp.copy, self.state), self.zero_sums()
        losses, start = [], 0
        for stop in cuts:
            state, sums = self.multi_step(
                state, sums, self.data, self.indices, np.int32(start), np.int32(stop)
            )
            losses.append(float(sums.metrics["loss"][0]))
            start = stop
        return losses, state, sums


def bits(tree):
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree)]


@pytest.mark.parametrize("loop", [True, False])
def test_four_devices_agree_with_one_over_twenty_steps(loop):
    cuts = range(1, STEPS + 1)
    one, state, _ = Setting(1, loop=loop).run(cuts)
    four, state_of_four, sums = Setting(4, loop=loop).run(cuts)
    np.testing.assert_allclose(four, one, rtol=1e-5)
    assert sums.metrics["loss"][0].sharding.num_devices == 4
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-4, atol=1e-5),
        state_of_four.params,
        state.params,
    )


def test_calls_of_any_length_give_the_same_bits_from_one_compilation():
    setting = Setting(1, apply=tiny.apply)
    _, state, sums = setting.run([STEPS])
    for cuts in ([1, 20], [7, 9, 20], range(1, 21)):
        _, other, other_sums = setting.run(cuts)
        assert bits(other.params) == bits(state.params)
        assert bits(other.opt_state) == bits(state.opt_state)
        assert bits(other_sums) == bits(sums)
    assert setting.multi_step._cache_size() == 1


def test_without_a_loop_there_is_none_in_the_program_and_the_result_is_the_same():
    looped, single = Setting(1), Setting(1, loop=False)
    losses, _, _ = single.run(range(1, STEPS + 1))
    np.testing.assert_allclose(losses, looped.run(range(1, STEPS + 1))[0], rtol=1e-5)

    def text(setting):
        args = (setting.state, setting.zero_sums(), setting.data, setting.indices, 0, 1)
        return setting.multi_step.lower(*args).as_text()

    assert "stablehlo.while" in text(looped)
    assert "stablehlo.while" not in text(single)


def test_a_loss_function_without_the_metric_loss_is_refused():
    state = Setting(1).state
    with pytest.raises(ValueError, match=r"metrics \['accuracy'\], but one must be called 'loss'"):
        make_zero_sums(lambda s, b: (s, {"accuracy": (1.0, 2.0)}), state, {}, data_mesh())


def test_the_first_step_whose_loss_is_not_finite_is_noted():
    _, _, sums = Setting(1).run([STEPS])
    assert int(sums.broken) == -1
    # The first step's loss is of finite parameters; an infinite rate spoils all that come after.
    _, _, sums = Setting(1, learning_rate=float("inf")).run([5, STEPS])
    assert int(sums.broken) == 2

"""Several training steps in one call of the device, on data that is there already."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Int

from attn_jax.train.devices import gather, replicated, state_sharding
from attn_jax.train.protocols import Batch, Metrics
from attn_jax.train.step import Step, TrainState


class Sums(NamedTuple):
    """Sums of metrics since the last row.

    Attributes:
        metrics: Each metric's (sum, weight).
        broken: The first step with a loss that was not finite, or −1.
    """

    metrics: Metrics
    broken: Int[Array, ""]


MultiStep = Callable[..., tuple[TrainState, Sums]]
"""`run(state, sums, data, indices, start, stop)` takes a step for each of these rows."""


def make_zero_sums(
    step: Step, state: TrainState, batch: Mapping[str, Any], mesh: Mesh
) -> Callable[[], Sums]:
    """Build the function that makes sums of zero.

    Args:
        step: The step whose metrics are summed; it is traced, not run.
        state: A state.
        batch: A stored batch, or its shapes.
        mesh: The devices that hold the sums.

    Returns:
        A function without arguments; each call returns new arrays, which may be donated.

    Raises:
        ValueError: If no metric is called `loss`.
    """
    _, shapes = jax.eval_shape(step, state, batch)
    if "loss" not in shapes:
        raise ValueError(
            f"the loss function returns the metrics {sorted(shapes)}, but one must be called "
            "'loss': a pair (sum, weight) whose quotient is the mean loss."
        )

    def zeros() -> Sums:
        metrics = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), dict(shapes))
        return Sums(metrics, jnp.int32(-1))

    return jax.jit(zeros, out_shardings=replicated(mesh))


def make_multi_step(step: Step, mesh: Mesh, state: TrainState, *, loop: bool) -> MultiStep:
    """Build the jitted function that gathers batches and takes steps on them.

    The number of steps is an argument of the program, so calls of any length share a compilation,
    and the result is the same, bit for bit, however the steps are divided into calls. `state` and
    `sums` are donated.

    Args:
        step: The pure step.
        mesh: The devices.
        state: A state, or its shapes, by which the next states are placed.
        loop: Whether one call may take several steps. If not, the program has no loop, in which
            XLA's convolutions on CPUs are many times slower, and `stop` is ignored.

    Returns:
        `run(state, sums, data, indices, start, stop) -> (state, sums)`.
    """
    Carry = tuple[TrainState, Sums]

    def one(row: Int[Array, ""], carry: Carry, data: Batch, indices: Array) -> Carry:
        state, sums = carry
        state, metrics = step(state, gather(mesh, data, indices[row]))
        return state, add_metrics(sums, metrics, state.step)

    def several(state, sums, data, indices, start, stop) -> Carry:
        return jax.lax.fori_loop(
            start, stop, lambda row, carry: one(row, carry, data, indices), (state, sums)
        )

    def single(state, sums, data, indices, start, stop) -> Carry:
        del stop
        return one(start, (state, sums), data, indices)

    run = several if loop else single
    placed = (state_sharding(mesh, state), replicated(mesh))
    return jax.jit(run, donate_argnums=(0, 1), out_shardings=placed)


def add_metrics(sums: Sums, metrics: Metrics, step: Int[Array, ""]) -> Sums:
    """Add the metrics of a step to sums, inside jit.

    Args:
        sums: The sums so far.
        metrics: Each metric's (sum, weight).
        step: The number of steps taken.

    Returns:
        The new sums.
    """
    breaks = (sums.broken < 0) & ~jnp.isfinite(metrics["loss"][0])
    total = jax.tree.map(jnp.add, sums.metrics, dict(metrics))
    return Sums(total, jnp.where(breaks, step, sums.broken))

"""Several steps in one call of the device, on data that lies there."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Int

from attn_jax.train.devices import gather, replicated
from attn_jax.train.protocols import Batch, Metrics
from attn_jax.train.step import Step, TrainState


class Sums(NamedTuple):
    """What has been counted since the last row of metrics.

    Attributes:
        metrics: Each metric's (sum, weight).
        broken: The first step whose loss was not finite, or −1.
    """

    metrics: Metrics
    broken: Int[Array, ""]


RunSteps = Callable[..., tuple[TrainState, Sums]]
"""`run(state, sums, data, indices, start, stop)` takes the steps of these rows of `indices`."""


def make_zero_sums(
    step: Step, state: TrainState, batch: Mapping[str, Any], mesh: Mesh
) -> Callable[[], Sums]:
    """Builds the function that makes the sums of no batch at all.

    Args:
        step: The step whose metrics shall be summed; it is traced, not run.
        state: A state.
        batch: A stored batch, or its shapes.
        mesh: The devices that shall hold the sums.

    Returns:
        A function without arguments; each call gives fresh zeros, which may be donated.

    Raises:
        ValueError: If there is no metric `loss`.
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


def make_run_steps(step: Step, mesh: Mesh, *, loop: bool) -> RunSteps:
    """Builds the jitted function that gathers batches and takes steps on them.

    The number of steps is an argument of the program, so that calls of any length share one
    compilation, and give the same bits however the steps are cut into calls. `state` and `sums`
    are donated.

    Args:
        step: The pure step.
        mesh: The devices.
        loop: Whether one call may take several steps. Without, the program has no loop, in which
            XLA's convolutions on CPUs would be many times slower, and `start` alone is read.

    Returns:
        `run(state, sums, data, indices, start, stop) -> (state, sums)`.
    """
    Carry = tuple[TrainState, Sums]

    def one(row: Int[Array, ""], carry: Carry, data: Batch, indices: Array) -> Carry:
        state, sums = carry
        state, metrics = step(state, gather(mesh, data, indices[row]))
        return state, _add(sums, metrics, state.step)

    def several(state, sums, data, indices, start, stop) -> Carry:
        return jax.lax.fori_loop(
            start, stop, lambda row, carry: one(row, carry, data, indices), (state, sums)
        )

    def single(state, sums, data, indices, start, stop) -> Carry:
        del stop
        return one(start, (state, sums), data, indices)

    run = several if loop else single
    return jax.jit(run, donate_argnums=(0, 1), out_shardings=replicated(mesh))


def _add(sums: Sums, metrics: Metrics, step: Int[Array, ""]) -> Sums:
    breaks = (sums.broken < 0) & ~jnp.isfinite(metrics["loss"][0])
    total = jax.tree.map(jnp.add, sums.metrics, dict(metrics))
    return Sums(total, jnp.where(breaks, step, sums.broken))

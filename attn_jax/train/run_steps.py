"""Several steps in one call of the device, on data that lies there."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Int

from attn_jax.train.devices import replicated, split_batch
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


def gather(mesh: Mesh, data: Batch, indices: Int[Array, " batch"]) -> Batch:
    """Picks the examples of one batch, each device its share.

    Args:
        mesh: The devices.
        data: All examples, on every device.
        indices: Which to pick.

    Returns:
        The batch, split over the devices.
    """
    rows = {name: array.at[indices].get(mode="promise_in_bounds") for name, array in data.items()}
    return split_batch(mesh, rows)


def zero_sums(mesh: Mesh, metrics: Callable[..., Metrics], *args: Any) -> Callable[[], Sums]:
    """Makes the function that returns the sums of no batch at all.

    Args:
        mesh: The devices that shall hold them.
        metrics: A function that returns metrics; it is traced, not run.
        *args: Its arguments.

    Returns:
        A function without arguments; each call gives fresh zeros, which may be donated.
    """
    shapes = jax.eval_shape(metrics, *args)

    def zeros() -> Sums:
        return Sums(
            jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), dict(shapes)),
            jnp.int32(-1),
        )

    return jax.jit(zeros, out_shardings=replicated(mesh))


def add(sums: Sums, metrics: Metrics, step: Int[Array, ""]) -> Sums:
    """Counts one batch.

    Args:
        sums: The sums so far.
        metrics: The batch's.
        step: The number of the batch's step, noted if its loss is not finite.

    Returns:
        The new sums.
    """
    fresh = (sums.broken < 0) & ~jnp.isfinite(metrics["loss"][0])
    total = jax.tree.map(jnp.add, sums.metrics, dict(metrics))
    return Sums(total, jnp.where(fresh, step, sums.broken))


RunSteps = Callable[..., tuple[TrainState, Sums]]
"""`run(state, sums, data, indices, start, stop)`: the steps of rows start to stop of indices."""


def make_run_steps(step: Step, mesh: Mesh, *, loop: bool) -> RunSteps:
    """Builds the jitted function that gathers batches and takes steps on them.

    The number of steps is an argument of the program, so that calls of any length share one
    compilation and give the same bits however the steps are cut into calls. `state` and `sums` are
    donated.

    Args:
        step: The pure step.
        mesh: The devices.
        loop: Whether one call may take several steps. Without, there is no loop in the program,
            in which XLA's CPU convolutions would be many times slower, and only `start` is read.

    Returns:
        `run(state, sums, data, indices, start, stop) -> (state, sums)`.
    """

    def one(row: Int[Array, ""], carry: tuple, data: Batch, indices: Array) -> tuple:
        state, sums = carry
        after, metrics = step(state, gather(mesh, data, indices[row]))
        return after, add(sums, metrics, after.step)

    def run(state, sums, data, indices, start, stop):
        if not loop:
            return one(start, (state, sums), data, indices)
        body = lambda row, carry: one(row, carry, data, indices)  # noqa: E731
        return jax.lax.fori_loop(start, stop, body, (state, sums))

    return jax.jit(run, donate_argnums=(0, 1), out_shardings=replicated(mesh))

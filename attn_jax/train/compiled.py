"""The part of a run that lives on the devices: its data, its state and its jitted functions."""

import dataclasses
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from attn_jax.train.config import TrainConfig
from attn_jax.train.data_order import bucket_size, steps_per_epoch
from attn_jax.train.devices import bounded, in_mesh, replicate, state_sharding
from attn_jax.train.evaluate import Evaluate, make_evaluate
from attn_jax.train.multi_step import MultiStep, Sums, make_multi_step, make_zero_sums
from attn_jax.train.optimizer import make_optimizer, make_schedule
from attn_jax.train.protocols import Apply, Batch, Init, Loss, Task
from attn_jax.train.step import TrainState, init_state, make_train_step, stream


@dataclasses.dataclass(frozen=True)
class Program:
    """The data, state and functions that the host loop uses.

    Attributes:
        mesh: The devices.
        sizes: The number of training examples of each bucket.
        steps_per_epoch: Whole batches in an epoch.
        data: The training examples of each bucket, on every device.
        state: The state before the first step.
        multi_step: Takes steps.
        zero_sums: Makes sums of metrics that start at zero.
        evaluate: Computes the metrics of parameters on validation and test.
        schedule: The learning rate at each step.
    """

    mesh: Mesh
    sizes: tuple[int, ...]
    steps_per_epoch: int
    data: tuple[Batch, ...]
    state: TrainState
    multi_step: MultiStep
    zero_sums: Callable[[], Sums]
    evaluate: Evaluate
    schedule: Callable[[int], jax.Array]


def build(
    init: Init, apply: Apply, loss: Loss, task: Task, config: TrainConfig, mesh: Mesh
) -> Program:
    """Load the data onto the devices, make the first state and the jitted functions.

    Args:
        init: Makes the parameters.
        apply: Runs the model.
        loss: Computes the loss and metrics.
        task: Loads the data.
        config: The settings.
        mesh: The devices.

    Returns:
        The program of the run.
    """
    splits, apply = task.load(), in_mesh(mesh, apply)
    sizes = tuple(map(bucket_size, splits["train"]))
    steps = steps_per_epoch(sizes, config)
    data = tuple(replicate(mesh, dict(bucket)) for bucket in splits["train"])
    optimizer = make_optimizer(config, config.epochs * steps)
    step = make_train_step(apply, loss, optimizer, prepare=task.prepare)
    stored = _one_batch(data[int(np.argmax(sizes))], config.batch_size)
    state = _first_state(init, task, optimizer, config.seed, stored, mesh)
    return Program(
        mesh=mesh,
        sizes=sizes,
        steps_per_epoch=steps,
        data=data,
        state=state,
        multi_step=_bounded(
            mesh, make_multi_step(step, mesh, state, loop=config.steps_per_call > 1)
        ),
        zero_sums=make_zero_sums(step, state, stored, mesh),
        evaluate=make_evaluate(
            apply,
            loss,
            task.prepare,
            {name: splits[name] for name in ("validation", "test") if name in splits},
            mesh,
            batch_size=config.eval_batch_size or 4 * config.batch_size,
            batches_per_call=config.steps_per_call,
        ),
        schedule=jax.jit(make_schedule(config, config.epochs * steps)),
    )


def _one_batch(data: Batch, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
    return {
        name: jax.ShapeDtypeStruct((batch_size, *array.shape[1:]), array.dtype)
        for name, array in data.items()
    }


def _first_state(
    init: Init,
    task: Task,
    optimizer: optax.GradientTransformation,
    seed: int,
    stored: Mapping[str, jax.ShapeDtypeStruct],
    mesh: Mesh,
) -> TrainState:
    def first() -> TrainState:
        batch = task.prepare({name: jnp.zeros(x.shape, x.dtype) for name, x in stored.items()})
        return init_state(init(stream(jax.random.key(seed), "init"), batch), optimizer, seed)

    return jax.jit(first, out_shardings=state_sharding(mesh, jax.eval_shape(first)))()


def _bounded(mesh: Mesh, run: MultiStep) -> MultiStep:
    return run if not mesh.is_multi_process else lambda *args: bounded(mesh, run(*args))

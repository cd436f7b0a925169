"""The part of a run that lives on the devices: its data, its state and its jitted functions."""

import dataclasses
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from attn_jax.train.config import TrainConfig
from attn_jax.train.data_order import steps_per_epoch
from attn_jax.train.devices import in_mesh, state_sharding
from attn_jax.train.evaluate import Evaluate
from attn_jax.train.held import BeginEpoch, HeldData
from attn_jax.train.multi_step import Sums, make_zero_sums
from attn_jax.train.optimizer import make_optimizer, make_schedule
from attn_jax.train.protocols import Apply, Init, Loss, StreamedTask, Task
from attn_jax.train.step import TrainState, init_state, make_train_step, stream
from attn_jax.train.streamed import StreamedData


@dataclasses.dataclass(frozen=True)
class Program:
    """The data, state and functions that the host loop uses.

    Attributes:
        mesh: The devices.
        sizes: The number of training examples of each bucket.
        steps_per_epoch: Whole batches in an epoch.
        state: The state before the first step.
        begin_epoch: Makes the function that takes the steps of an epoch.
        zero_sums: Makes sums of metrics that start at zero.
        evaluate: Computes the metrics of parameters on validation and test.
        schedule: The learning rate at each step.
    """

    mesh: Mesh
    sizes: tuple[int, ...]
    steps_per_epoch: int
    state: TrainState
    begin_epoch: BeginEpoch
    zero_sums: Callable[[], Sums]
    evaluate: Evaluate
    schedule: Callable[[int], jax.Array]


def build(
    init: Init,
    apply: Apply,
    loss: Loss,
    task: Task | StreamedTask,
    config: TrainConfig,
    mesh: Mesh,
) -> Program:
    """Load or open the data, make the first state and the jitted functions.

    Args:
        init: Makes the parameters.
        apply: Runs the model.
        loss: Computes the loss and metrics.
        task: Loads the data, or opens them.
        config: The settings.
        mesh: The devices.

    Returns:
        The program of the run.
    """
    data, apply = _data(task, mesh), in_mesh(mesh, apply)
    steps = steps_per_epoch(data.sizes, config)
    optimizer = make_optimizer(config, config.epochs * steps)
    step = make_train_step(apply, loss, optimizer, prepare=task.prepare)
    stored = data.batch_shapes(config.batch_size)
    state = _first_state(init, task, optimizer, config.seed, stored, mesh)
    return Program(
        mesh=mesh,
        sizes=data.sizes,
        steps_per_epoch=steps,
        state=state,
        begin_epoch=data.make_epochs(step, state, config),
        zero_sums=make_zero_sums(step, state, stored, mesh),
        evaluate=data.make_evaluate(apply, loss, task.prepare, config),
        schedule=jax.jit(make_schedule(config, config.epochs * steps)),
    )


def _data(task: Task | StreamedTask, mesh: Mesh) -> HeldData | StreamedData:
    if isinstance(task, StreamedTask) and task.streamed:
        return StreamedData(task, mesh)
    if isinstance(task, Task):
        return HeldData(task, mesh)
    raise TypeError(
        f"{type(task).__name__} has neither load, as a Task has, nor records and streamed, as a "
        "StreamedTask has."
    )


def _first_state(
    init: Init,
    task: Task | StreamedTask,
    optimizer: optax.GradientTransformation,
    seed: int,
    stored: Mapping[str, jax.ShapeDtypeStruct],
    mesh: Mesh,
) -> TrainState:
    def first() -> TrainState:
        batch = task.prepare({name: jnp.zeros(x.shape, x.dtype) for name, x in stored.items()})
        return init_state(init(stream(jax.random.key(seed), "init"), batch), optimizer, seed)

    return jax.jit(first, out_shardings=state_sharding(mesh, jax.eval_shape(first)))()

"""The examples of a task that fits in memory: all of them, on every device."""

from collections.abc import Callable

import jax
import numpy as np
from jax.sharding import Mesh

from attn_jax.train.config import TrainConfig
from attn_jax.train.data_order import Call, EpochOrder, bucket_size
from attn_jax.train.devices import bounded, replicate
from attn_jax.train.evaluate import Evaluate, make_evaluate
from attn_jax.train.multi_step import Sums, make_multi_step
from attn_jax.train.protocols import Apply, Batch, Loss, Task
from attn_jax.train.step import Step, TrainState

Take = Callable[[TrainState, Sums, Call], tuple[TrainState, Sums]]
"""A function that takes the steps of a call."""

BeginEpoch = Callable[[EpochOrder, int], Take]
"""A function from the order of an epoch, and the steps of it that are done, to a `Take`."""


class HeldData:
    """The examples of a task, on every device, from which each gathers its part of a batch.

    Args:
        task: The task.
        mesh: The devices.
    """

    def __init__(self, task: Task, mesh: Mesh):
        self.mesh, self.splits = mesh, task.load()
        self.sizes = tuple(map(bucket_size, self.splits["train"]))
        self.data = tuple(replicate(mesh, dict(bucket)) for bucket in self.splits["train"])

    def batch_shapes(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        """Return the shapes of a stored batch of the largest bucket.

        Args:
            batch_size: The number of examples in it.

        Returns:
            The shape and type of each array.
        """
        return {
            name: jax.ShapeDtypeStruct((batch_size, *array.shape[1:]), array.dtype)
            for name, array in self.data[int(np.argmax(self.sizes))].items()
        }

    def make_epochs(self, step: Step, state: TrainState, config: TrainConfig) -> BeginEpoch:
        """Build the function that begins an epoch.

        Args:
            step: The pure step.
            state: A state, by which the next states are placed.
            config: The settings.

        Returns:
            The function.
        """
        run = make_multi_step(step, self.mesh, state, loop=config.steps_per_call > 1)

        def begin(order: EpochOrder, position: int) -> Take:
            indices = replicate(self.mesh, order.indices)

            def take(state: TrainState, sums: Sums, call: Call) -> tuple[TrainState, Sums]:
                rows = (indices[call.bucket], np.int32(call.start), np.int32(call.stop))
                return bounded(self.mesh, run(state, sums, self.data[call.bucket], *rows))

            return take

        return begin

    def make_evaluate(
        self, apply: Apply, loss: Loss, prepare: Callable[..., Batch], config: TrainConfig
    ) -> Evaluate:
        """Build the function that evaluates parameters on the other splits.

        Args:
            apply: Runs the model.
            loss: Computes the metrics.
            prepare: Turns stored examples into the model's inputs.
            config: The settings.

        Returns:
            A function from parameters to `{"<split>/<metric>": mean}`.
        """
        others = {n: self.splits[n] for n in ("validation", "test") if n in self.splits}
        return make_evaluate(
            apply,
            loss,
            prepare,
            others,
            self.mesh,
            batch_size=config.eval_batch_size or 4 * config.batch_size,
            batches_per_call=config.steps_per_call,
        )

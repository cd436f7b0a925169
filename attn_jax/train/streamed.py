"""A task whose records are read when they are needed, ahead of the devices, by Grain."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from attn_jax._extras import require
from attn_jax.train.config import TrainConfig
from attn_jax.train.data_order import Call, EpochOrder, padded_batches
from attn_jax.train.devices import batch_sharding, bounded, replicated, state_sharding
from attn_jax.train.evaluate import Evaluate, means
from attn_jax.train.held import BeginEpoch, Take
from attn_jax.train.multi_step import Sums, add_metrics
from attn_jax.train.protocols import WEIGHT, Apply, Batch, Loss, Metrics, Records, StreamedTask
from attn_jax.train.step import Step, TrainState

_THREADS = 8
_AHEAD = 8


class StreamedData:
    """The records of a streamed task, of which each process reads its own part of every batch.

    Args:
        task: The task.
        mesh: The devices.
    """

    def __init__(self, task: StreamedTask, mesh: Mesh):
        require("grain", extra="data")
        self.mesh, self.splits = mesh, task.records()
        self.sizes = (len(self.splits["train"]),)

    def batch_shapes(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        """Return the shapes of a stored batch.

        Args:
            batch_size: The number of examples in it.

        Returns:
            The shape and type of each array.
        """
        record = _arrays(self.splits["train"][0])
        return {
            name: jax.ShapeDtypeStruct((batch_size, *array.shape), array.dtype)
            for name, array in record.items()
        }

    def make_epochs(self, step: Step, state: TrainState, config: TrainConfig) -> BeginEpoch:
        """Build the function that begins an epoch, as `HeldData` does.

        `steps_per_call` is not used: the batches of a call would all have to be on the device.

        Args:
            step: The pure step.
            state: A state, by which the next states are placed.
            config: The settings.

        Returns:
            A function from the order of an epoch, and the steps of it that are done, to a function
            that takes the steps of a call.
        """
        del config
        run = _make_run(step, self.mesh, state)

        def begin(order: EpochOrder, position: int) -> Take:
            batches = self._batches("train", order.indices[0][position:])

            def take(state: TrainState, sums: Sums, call: Call) -> tuple[TrainState, Sums]:
                for _ in range(call.start, call.stop):
                    # Waiting keeps batches from piling up on the devices; the next are being read.
                    state, sums = jax.block_until_ready(run(state, sums, next(batches)))
                return state, sums

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
            config: The settings, of which the batch sizes are used.

        Returns:
            A function from parameters to `{"<split>/<metric>": mean}`.
        """
        size = config.eval_batch_size or 4 * config.batch_size

        def one(params: Any, batch: Batch) -> Metrics:
            prepared = {**prepare(batch), WEIGHT: batch[WEIGHT]}
            return dict(loss(apply(params, prepared), prepared)[1])

        run = jax.jit(one, out_shardings=replicated(self.mesh))

        def evaluate(params: Any) -> dict[str, float]:
            metrics: dict[str, float] = {}
            for split in (name for name in ("validation", "test") if name in self.splits):
                indices, weights = padded_batches(len(self.splits[split]), size)
                batches = self._batches(split, indices, weights)
                parts = [jax.device_get(bounded(self.mesh, run(params, b))) for b in batches]
                metrics |= means(parts, split)
            return metrics

        return evaluate

    def _batches(
        self, split: str, indices: np.ndarray, weights: np.ndarray | None = None
    ) -> Iterator[Batch]:
        """Read the batches of rows of indices, on the devices, in order."""
        import grain

        sharding = batch_sharding(self.mesh)
        own = _own_part(sharding, indices.shape[1:])
        rows = _Rows(
            self.splits[split], indices[:, own], None if weights is None else weights[:, own]
        )
        options = grain.ReadOptions(num_threads=_THREADS, prefetch_buffer_size=_AHEAD)
        for row in grain.MapDataset.source(rows).to_iter_dataset(options):
            yield {
                name: jax.make_array_from_process_local_data(
                    sharding, array, (indices.shape[1], *array.shape[1:])
                )
                for name, array in row.items()
            }


class _Rows:
    """The parts of batches that this process reads, as Grain takes them."""

    def __init__(self, records: Records, indices: np.ndarray, weights: np.ndarray | None):
        self.records, self.indices, self.weights = records, indices, weights

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        examples = [_arrays(self.records[int(one)]) for one in self.indices[index]]
        batch = {name: np.stack([each[name] for each in examples]) for name in examples[0]}
        return batch if self.weights is None else {**batch, WEIGHT: self.weights[index]}


def _arrays(record: Mapping[str, Any]) -> dict[str, np.ndarray]:
    arrays = {name: np.asarray(value) for name, value in record.items()}
    # As `device_put` would: without x64, 64 bits become 32.
    return {n: a.astype(jax.dtypes.canonicalize_dtype(a.dtype)) for n, a in arrays.items()}


def _own_part(sharding: jax.sharding.NamedSharding, shape: tuple[int, ...]) -> slice:
    """Return the part of a batch that the devices of this process hold."""
    places = sharding.addressable_devices_indices_map(shape).values()
    rows = np.concatenate([np.arange(shape[0])[place] for place in places if place])
    return slice(int(rows.min()), int(rows.max()) + 1)


def _make_run(step: Step, mesh: Mesh, state: TrainState) -> Callable[..., tuple[TrainState, Sums]]:
    def run(state: TrainState, sums: Sums, batch: Batch) -> tuple[TrainState, Sums]:
        state, metrics = step(state, batch)
        return state, add_metrics(sums, metrics, state.step)

    placed = (state_sharding(mesh, state), replicated(mesh))
    return jax.jit(run, donate_argnums=(0, 1), out_shardings=placed)

"""The signatures of a model and a task that can be trained: plain functions and a small class.

`attn_jax.train` never sees a Flax module: an experiment wraps its model in an `Init` and an
`Apply`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array

Batch = Mapping[str, Array]
"""Arrays that share their leading axis, over the examples."""

Params = Any
"""Any pytree of arrays."""

Metrics = Mapping[str, tuple[Array, Array]]
"""Each metric as (sum, weight), so that sums over batches give the exact mean over all."""

Bucket = Mapping[str, np.ndarray]
"""Examples of one shape, in the host's memory; the arrays share their leading axis."""

WEIGHT = "weight"
"""The batch entry, of shape (n,), that a `Loss` multiplies each example by; absent means ones."""


@runtime_checkable
class Prepare(Protocol):
    """A function from stored examples to the model's inputs, called inside the jitted step."""

    def __call__(self, batch: Batch, rng: Array | None = None) -> Batch:
        """Return the batch for `Apply` and `Loss`; in training `rng` is given, for augmentation."""
        ...


@runtime_checkable
class Task(Protocol):
    """The data of a training run."""

    def load(self) -> Mapping[str, Sequence[Bucket]]:
        """Load the split `train` and, if the task has them, `validation` and `test`.

        A split is a sequence of buckets. Buckets may differ in every axis but the first, as
        sentences of different lengths do; most tasks have one bucket.
        """
        ...

    def prepare(self, batch: Batch, rng: Array | None = None) -> Batch:
        """Turn stored examples into the model's inputs, inside the jitted step.

        Args:
            batch: Rows of one bucket.
            rng: A key for augmentation, given in training only.
        """
        ...


@runtime_checkable
class Records(Protocol):
    """Examples of one shape that are read one by one; several threads read at once."""

    def __len__(self) -> int:
        """Return the number of examples."""
        ...

    def __getitem__(self, index: int, /) -> Mapping[str, Any]:
        """Return an example as arrays, without the axis over examples."""
        ...


@runtime_checkable
class StreamedTask(Protocol):
    """The data of a training run that are larger than memory.

    A task may be both a `Task` and this: then `streamed` decides.
    """

    @property
    def streamed(self) -> bool:
        """Whether the records are read when they are needed."""
        ...

    def records(self) -> Mapping[str, Records]:
        """Open the split `train` and, if the task has them, `validation` and `test`."""
        ...

    def prepare(self, batch: Batch, rng: Array | None = None) -> Batch:
        """Turn stored examples into the model's inputs, as `Task.prepare` does."""
        ...


@runtime_checkable
class Init(Protocol):
    """A function that makes the parameters."""

    def __call__(self, rng: Array, batch: Batch, /) -> Params:
        """Return fresh parameters for batches of the shapes of `batch`, which holds zeros."""
        ...


@runtime_checkable
class Apply(Protocol):
    """A function that runs the model."""

    def __call__(
        self, params: Params, batch: Batch, /, *, rng: Array | None = None, train: bool = False
    ) -> Any:
        """Return the model's outputs; `rng`, for dropout, is given in training only."""
        ...


@runtime_checkable
class Loss(Protocol):
    """A function that computes the loss and the metrics."""

    def __call__(self, outputs: Any, batch: Batch, /) -> tuple[Array, Metrics]:
        """Return the scalar to minimize and the metrics, one of which is called `loss`.

        It must apply `batch["weight"]` if there is one: evaluation pads its last batch with
        examples of weight zero.
        """
        ...

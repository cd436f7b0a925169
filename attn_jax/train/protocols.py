"""What training asks of a model and of a task: plain functions and one small class of methods.

Anything that has these signatures can be trained. `attn_jax.train` never sees a Flax module: an
experiment wraps its model in an `Init` and an `Apply`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array

Batch = Mapping[str, Array]
"""Arrays that share their leading axis, the examples."""

Params = Any
"""Any pytree of arrays."""

Metrics = Mapping[str, tuple[Array, Array]]
"""Each metric as (sum, weight), so that the sums of batches add up to the exact mean of all."""

Bucket = Mapping[str, np.ndarray]
"""Examples of one shape, in the host's memory; the arrays share their leading axis."""

WEIGHT = "weight"
"""The batch entry, of shape (n,), that a `Loss` multiplies each example by; absent means ones."""


@runtime_checkable
class Prepare(Protocol):
    """Turns stored examples into the model's inputs, inside the jitted step."""

    def __call__(self, batch: Batch, rng: Array | None = None) -> Batch:
        """Returns the batch that `Apply` and `Loss` get; `rng`, for augmentation, in training."""
        ...


@runtime_checkable
class Task(Protocol):
    """Data to learn from."""

    def load(self) -> Mapping[str, Sequence[Bucket]]:
        """Reads the splits `train` and, where there are any, `validation` and `test`.

        A split is a sequence of buckets. Buckets may differ in every axis but the first (sentences
        of one length each, say); most tasks have one.
        """
        ...

    def prepare(self, batch: Batch, rng: Array | None = None) -> Batch:
        """Turns stored examples into the model's inputs, inside the jitted step.

        Args:
            batch: Rows of one bucket.
            rng: Given in training only, for augmentation.
        """
        ...


@runtime_checkable
class Init(Protocol):
    """Makes the parameters."""

    def __call__(self, rng: Array, batch: Batch, /) -> Params:
        """Returns fresh parameters for batches shaped as `batch`, which holds zeros."""
        ...


@runtime_checkable
class Apply(Protocol):
    """Runs the model."""

    def __call__(
        self, params: Params, batch: Batch, /, *, rng: Array | None = None, train: bool = False
    ) -> Any:
        """Returns the model's outputs; `rng` is given in training only, for dropout."""
        ...


@runtime_checkable
class Loss(Protocol):
    """Judges outputs."""

    def __call__(self, outputs: Any, batch: Batch, /) -> tuple[Array, Metrics]:
        """Returns the scalar to minimise and the metrics, of which one is called `loss`.

        It must honour `batch["weight"]` where there is one: evaluation pads its last batch with
        examples of weight zero.
        """
        ...

"""Judges parameters on a whole split, every example exactly once."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int

from attn_jax.train.devices import replicate, replicated, split_batch
from attn_jax.train.order import padded_batches
from attn_jax.train.protocols import WEIGHT, Apply, Batch, Bucket, Loss, Metrics, Params
from attn_jax.train.run_steps import Sums, add, gather, zero_sums

Evaluate = Callable[[Params], dict[str, float]]
"""From parameters to `{"<split>/<metric>": mean}`."""


class _Batches(NamedTuple):
    data: Batch
    indices: Int[Array, "batches batch"]
    weights: Float[Array, "batches batch"]


def means(sums: Sums, split: str) -> dict[str, float]:
    """The weighted mean of each metric.

    Args:
        sums: What was counted; reading it waits for the device.
        split: Goes before each name, with a slash.

    Returns:
        The means by name.

    Example:
        >>> sums = Sums({"loss": (jnp.float32(6.0), jnp.float32(4.0))}, jnp.int32(-1))
        >>> means(sums, "train")
        {'train/loss': 1.5}
    """
    values = jax.device_get(sums.metrics)
    return {
        f"{split}/{name}": float(total) / max(float(weight), 1e-30)
        for name, (total, weight) in sorted(values.items())
    }


def make_evaluate(
    apply: Apply,
    loss: Loss,
    prepare: Callable[..., Batch],
    splits: Mapping[str, Sequence[Bucket]],
    mesh: Mesh,
    *,
    batch_size: int,
    batches_per_call: int = 1,
) -> Evaluate:
    """Lays splits out on the devices and builds the function that judges parameters on them.

    Args:
        apply: Runs the model.
        loss: Gives the metrics.
        prepare: Turns stored examples into the model's inputs.
        splits: The buckets of each split by its name; an empty split has no metrics.
        mesh: The devices.
        batch_size: Examples in a batch; the last one is padded with examples of weight zero.
        batches_per_call: Batches in a call of the device.

    Returns:
        A function from parameters to `{"<split>/<metric>": mean}`.
    """

    def metrics(params: Params, batch: Batch, weight: Array) -> Metrics:
        prepared = {**prepare(batch), WEIGHT: weight}
        return loss(apply(params, prepared), prepared)[1]

    run = _make_run(metrics, mesh, loop=batches_per_call > 1)
    laid = {name: _lay(mesh, buckets, batch_size) for name, buckets in splits.items()}

    def judge(params: Params, split: str) -> Sums:
        data, indices, weights = laid[split][0]
        sums = zero_sums(mesh, metrics, params, gather(mesh, data, indices[0]), weights[0])()
        for data, indices, weights in laid[split]:
            for start in range(0, len(indices), batches_per_call):
                stop = min(start + batches_per_call, len(indices))
                sums = run(sums, params, data, indices, weights, np.int32(start), np.int32(stop))
        return sums

    def evaluate(params: Params) -> dict[str, float]:
        counted = {split: judge(params, split) for split, batches in laid.items() if batches}
        return {
            k: mean for split, sums in counted.items() for k, mean in means(sums, split).items()
        }

    return evaluate


def _make_run(metrics: Callable[..., Metrics], mesh: Mesh, *, loop: bool) -> Callable[..., Sums]:
    def one(row, sums, params, data, indices, weights):
        batch, weight = gather(mesh, data, indices[row]), split_batch(mesh, weights[row])
        return add(sums, metrics(params, batch, weight), row)

    def run(sums, params, data, indices, weights, start, stop):
        if not loop:
            return one(start, sums, params, data, indices, weights)
        return jax.lax.fori_loop(
            start, stop, lambda row, sums: one(row, sums, params, data, indices, weights), sums
        )

    return jax.jit(run, donate_argnums=0, out_shardings=replicated(mesh))


def _lay(mesh: Mesh, buckets: Sequence[Bucket], batch_size: int) -> list[_Batches]:
    sizes = [len(next(iter(bucket.values()))) for bucket in buckets]
    return [
        _Batches(*replicate(mesh, (dict(bucket), *padded_batches(size, batch_size))))
        for bucket, size in zip(buckets, sizes, strict=True)
        if size
    ]

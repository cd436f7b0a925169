"""Judges parameters on whole splits, every example exactly once."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int

from attn_jax.train.devices import gather, replicate, replicated, split_batch
from attn_jax.train.order import padded_batches
from attn_jax.train.protocols import WEIGHT, Apply, Batch, Bucket, Loss, Metrics, Params, Prepare

Evaluate = Callable[[Params], dict[str, float]]
"""From parameters to `{"<split>/<metric>": mean}`."""


class _Batches(NamedTuple):
    data: Batch
    indices: Int[Array, "batches batch"]
    weights: Float[Array, "batches batch"]


def means(parts: Iterable[Mapping[str, tuple[Any, Any]]], split: str) -> dict[str, float]:
    """The weighted mean of each metric over all parts.

    Args:
        parts: Each metric's (sum, weight) in each part; reading them waits for the device.
        split: Goes before each name, with a slash.

    Returns:
        The means by name.

    Example:
        >>> means([{"loss": (6.0, 1.0)}, {"loss": (0.0, 3.0)}], "train")
        {'train/loss': 1.5}
    """
    pairs: dict[str, list[tuple[float, float]]] = {}
    for part in parts:
        for name, (total, weight) in part.items():
            pairs.setdefault(name, []).append((float(total), float(weight)))
    sums = {name: map(math.fsum, zip(*pairs[name], strict=True)) for name in sorted(pairs)}
    return {f"{split}/{name}": total / max(weight, 1e-30) for name, (total, weight) in sums.items()}


def make_evaluate(
    apply: Apply,
    loss: Loss,
    prepare: Prepare,
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
    run = _make_run(apply, loss, prepare, mesh, loop=batches_per_call > 1)
    laid = {name: _lay(mesh, buckets, batch_size) for name, buckets in splits.items()}

    def judge(params: Params, split: str) -> Iterator[Metrics]:
        for batches in laid[split]:
            for start in range(0, len(batches.indices), batches_per_call):
                stop = min(start + batches_per_call, len(batches.indices))
                yield run(params, batches, np.int32(start), np.int32(stop))

    def evaluate(params: Params) -> dict[str, float]:
        # All calls are under way before the first result is waited for.
        parts = jax.device_get({split: list(judge(params, split)) for split in laid})
        return {k: mean for split in laid for k, mean in means(parts[split], split).items()}

    return evaluate


def _make_run(
    apply: Apply, loss: Loss, prepare: Prepare, mesh: Mesh, *, loop: bool
) -> Callable[..., Metrics]:
    def one(row: Int[Array, ""], params: Params, batches: _Batches) -> Metrics:
        batch = prepare(gather(mesh, batches.data, batches.indices[row]))
        batch = {**batch, WEIGHT: split_batch(mesh, batches.weights[row])}
        return dict(loss(apply(params, batch), batch)[1])

    def several(params: Params, batches: _Batches, start: Array, stop: Array) -> Metrics:
        shapes = jax.eval_shape(one, start, params, batches)
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

        def add(row: Int[Array, ""], total: Metrics) -> Metrics:
            return jax.tree.map(jnp.add, total, one(row, params, batches))

        return jax.lax.fori_loop(start, stop, add, zeros)

    def single(params: Params, batches: _Batches, start: Array, stop: Array) -> Metrics:
        del stop
        return one(start, params, batches)

    return jax.jit(several if loop else single, out_shardings=replicated(mesh))


def _lay(mesh: Mesh, buckets: Sequence[Bucket], batch_size: int) -> list[_Batches]:
    sizes = [len(next(iter(bucket.values()))) for bucket in buckets]
    return [
        _Batches(*replicate(mesh, (dict(bucket), *padded_batches(size, batch_size))))
        for bucket, size in zip(buckets, sizes, strict=True)
        if size
    ]

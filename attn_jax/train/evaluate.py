"""Evaluation of parameters on whole splits, every example exactly once."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int

from attn_jax.train.data_order import bucket_size, padded_batches
from attn_jax.train.devices import bounded, gather, replicate, replicated, split_batch
from attn_jax.train.protocols import WEIGHT, Apply, Batch, Bucket, Loss, Metrics, Params, Prepare

Evaluate = Callable[[Params], dict[str, float]]
"""A function from parameters to `{"<split>/<metric>": mean}`."""


class _Layout(NamedTuple):
    """The examples of one shape from all splits, on the devices, and the batches of each split."""

    data: Batch
    indices: Int[Array, "batches batch"]
    weights: Float[Array, "batches batch"]
    rows: dict[str, range]


def means(parts: Iterable[Mapping[str, tuple[Any, Any]]], split: str) -> dict[str, float]:
    """Return the weighted mean of each metric over all parts.

    Args:
        parts: Each metric's (sum, weight) in each part; reading them waits for the device.
        split: Prefix of each name, before a slash.

    Returns:
        The means, by name.

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
    """Put splits on the devices and build the function that evaluates parameters on them.

    Args:
        apply: Runs the model.
        loss: Computes the metrics.
        prepare: Turns stored examples into the model's inputs.
        splits: The buckets of each split, by its name; an empty split has no metrics.
        mesh: The devices.
        batch_size: Examples in a batch; the last batch is padded with examples of weight zero.
        batches_per_call: Batches per call of the device.

    Returns:
        A function from parameters to `{"<split>/<metric>": mean}`.
    """
    run = _make_run(apply, loss, prepare, mesh, loop=batches_per_call > 1)
    layouts = _lay_out(mesh, splits, batch_size)

    def metrics(params: Params, split: str) -> Iterator[Metrics]:
        for data, indices, weights, rows in layouts:
            stop = rows.get(split, range(0)).stop
            for start in rows.get(split, range(0))[::batches_per_call]:
                end = np.int32(min(start + batches_per_call, stop))
                yield bounded(mesh, run(params, data, indices, weights, np.int32(start), end))

    def evaluate(params: Params) -> dict[str, float]:
        # All calls are dispatched before the first result is waited for.
        parts = jax.device_get({split: list(metrics(params, split)) for split in splits})
        return {k: mean for split in splits for k, mean in means(parts[split], split).items()}

    return evaluate


def _make_run(
    apply: Apply, loss: Loss, prepare: Prepare, mesh: Mesh, *, loop: bool
) -> Callable[..., Metrics]:
    def one(row: Array, params: Params, data: Batch, indices: Array, weights: Array) -> Metrics:
        batch = prepare(gather(mesh, data, indices[row]))
        batch = {**batch, WEIGHT: split_batch(mesh, weights[row])}
        return dict(loss(apply(params, batch), batch)[1])

    def several(params, data, indices, weights, start, stop) -> Metrics:
        shapes = jax.eval_shape(one, start, params, data, indices, weights)
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

        def add(row: Array, total: Metrics) -> Metrics:
            return jax.tree.map(jnp.add, total, one(row, params, data, indices, weights))

        return jax.lax.fori_loop(start, stop, add, zeros)

    def single(params, data, indices, weights, start, stop) -> Metrics:
        del stop
        return one(start, params, data, indices, weights)

    return jax.jit(several if loop else single, out_shardings=replicated(mesh))


def _lay_out(mesh: Mesh, splits: Mapping[str, Sequence[Bucket]], batch_size: int) -> list[_Layout]:
    """Join examples of one shape into one array, so that all splits share a compilation."""
    groups: dict[tuple, list[tuple[str, Bucket]]] = {}
    for split, buckets in splits.items():
        for bucket in buckets:
            if bucket_size(bucket):
                shape = tuple(
                    (name, a.shape[1:], str(a.dtype)) for name, a in sorted(bucket.items())
                )
                groups.setdefault(shape, []).append((split, bucket))
    return [_join(mesh, group, batch_size) for group in groups.values()]


def _join(mesh: Mesh, group: list[tuple[str, Bucket]], batch_size: int) -> _Layout:
    first, row, parts, rows = 0, 0, [], {}
    for split, bucket in group:
        indices, weights = padded_batches(bucket_size(bucket), batch_size)
        parts.append((indices + np.int32(first), weights))
        rows[split] = range(rows.get(split, range(row, row)).start, row + len(indices))
        first, row = first + bucket_size(bucket), row + len(indices)
    indices, weights = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    data = {name: np.concatenate([bucket[name] for _, bucket in group]) for name in group[0][1]}
    data, indices, weights = replicate(mesh, (data, indices, weights))
    return _Layout(data, indices, weights, rows)

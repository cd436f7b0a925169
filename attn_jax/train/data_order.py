"""The order of the examples: a pure function of the seed and the epoch, on the host."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from attn_jax.train.config import TrainConfig


class Segment(NamedTuple):
    """Consecutive steps that read consecutive rows of one bucket's indices.

    Attributes:
        bucket: Index of the bucket.
        row: The first of its rows.
        length: The number of rows.
    """

    bucket: int
    row: int
    length: int


class EpochOrder(NamedTuple):
    """The examples of every step of an epoch.

    Attributes:
        indices: The examples of each bucket's batches, int32 of shape (batches, batch).
        segments: The order in which those rows are read.
    """

    indices: tuple[np.ndarray, ...]
    segments: tuple[Segment, ...]


class Call(NamedTuple):
    """One call of the device: rows `start` to `stop` of a bucket.

    Attributes:
        bucket: Index of the bucket.
        start: The first row.
        stop: The row after the last.
        position: The number of steps of the epoch that are done after the call.
    """

    bucket: int
    start: int
    stop: int
    position: int


def bucket_size(bucket: Mapping[str, np.ndarray]) -> int:
    """Return the number of examples of a bucket.

    Args:
        bucket: Arrays that share their leading axis.

    Returns:
        The length of that axis.

    Raises:
        ValueError: If their lengths differ, or there are no arrays.
    """
    sizes = {name: len(array) for name, array in bucket.items()}
    if len(set(sizes.values())) != 1:
        raise ValueError(
            f"the arrays of a bucket have {sizes} examples, but must have the same number; "
            "fix Task.load."
        )
    return next(iter(sizes.values()))


def steps_per_epoch(sizes: Sequence[int], config: TrainConfig) -> int:
    """Return the number of whole batches in an epoch.

    Args:
        sizes: The number of examples of each bucket.
        config: The settings, of which `batch_size` is used.

    Returns:
        The number of steps.

    Raises:
        ValueError: If no bucket fills a batch. If some buckets do not, there is a warning.

    Example:
        >>> steps_per_epoch([10, 7], TrainConfig(batch_size=3))
        5
    """
    steps = sum(size // config.batch_size for size in sizes)
    if not steps:
        raise ValueError(
            f"batch_size={config.batch_size} exceeds the {max(sizes, default=0)} examples of the "
            "largest bucket, so that no step can be taken; choose a smaller batch_size."
        )
    unused = [size for size in sizes if 0 < size < config.batch_size]
    if unused:
        warnings.warn(
            f"batch_size={config.batch_size} exceeds buckets of {', '.join(map(str, unused))} "
            "examples, which are never used; choose a smaller batch_size to use them.",
            stacklevel=2,
        )
    return steps


def epoch_order(sizes: Sequence[int], epoch: int, config: TrainConfig) -> EpochOrder:
    """Shuffle the examples into batches, and the order of the buckets.

    Examples that do not fill a batch are left out; they differ from epoch to epoch.

    Args:
        sizes: The number of examples of each bucket.
        epoch: The epoch, from 0.
        config: The settings, of which `seed`, `batch_size` and `bucket_run` are used.

    Returns:
        The order, which depends only on the arguments.

    Example:
        >>> order = epoch_order([7], 0, TrainConfig(batch_size=3))
        >>> order.indices[0].shape, order.segments
        ((2, 3), (Segment(bucket=0, row=0, length=2),))
    """
    rng = np.random.default_rng([config.seed, epoch])
    indices = tuple(_batches(rng, size, config.batch_size) for size in sizes)
    run = max(map(len, indices)) if len(indices) == 1 else config.bucket_run
    segments = [
        Segment(bucket, row, min(run, len(rows) - row))
        for bucket, rows in enumerate(indices)
        for row in range(0, len(rows), run)
    ]
    shuffled = rng.permutation(len(segments))
    return EpochOrder(indices, tuple(segments[i] for i in shuffled))


def _batches(rng: np.random.Generator, size: int, batch_size: int) -> np.ndarray:
    whole = size // batch_size
    return rng.permutation(size)[: whole * batch_size].astype(np.int32).reshape(whole, batch_size)


def calls(
    segments: Sequence[Segment], position: int, pauses: Sequence[int], steps_per_call: int
) -> Iterator[Call]:
    """Divide the rest of an epoch into calls of the device.

    Args:
        segments: The epoch's segments.
        position: The number of steps of the epoch that are done.
        pauses: Positions, ascending, that no call may cross, because the host has work to do there.
        steps_per_call: The most steps in one call.

    Yields:
        The calls, which cover each remaining step exactly once, in order.

    Example:
        >>> list(calls([Segment(0, 0, 5)], 1, [3], 4))
        [Call(bucket=0, start=1, stop=3, position=3), Call(bucket=0, start=3, stop=5, position=5)]
    """
    offset = 0
    for bucket, row, length in segments:
        while position < offset + length:
            pause = next((p for p in pauses if p > position), offset + length)
            end = min(position + steps_per_call, offset + length, pause)
            yield Call(bucket, row + position - offset, row + end - offset, end)
            position = end
        offset += length


def padded_batches(size: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return batches that hold every example exactly once, the last one padded.

    Args:
        size: The number of examples.
        batch_size: The number of examples in a batch.

    Returns:
        Indices (batches, batch) int32 and weights (batches, batch) float32, zero at the padding.

    Example:
        >>> padded_batches(3, 2)[1]
        array([[1., 1.], [1., 0.]], dtype=float32)
    """
    batches = -(-size // batch_size)
    indices = np.arange(batches * batch_size, dtype=np.int32)
    weights = (indices < size).astype(np.float32)
    indices[size:] = 0
    return indices.reshape(batches, batch_size), weights.reshape(batches, batch_size)

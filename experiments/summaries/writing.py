"""Summaries of all documents of a split, by beam search."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from attn_jax.models import beam_decode
from attn_jax.tasks import Summaries

BATCH = 128


def write_summaries(
    model: nn.Module, params: Any, task: Summaries, split: str, beams: int
) -> list[list[str]]:
    """Write a summary of each document of a split, in the order of the task's pairs.

    Args:
        model: A summarizer.
        params: Its parameters.
        task: The task.
        split: The split.
        beams: The number of summaries that are kept at each step.
    """
    pairs, buckets = task.pairs(split), task.load()[split]
    source = np.concatenate([bucket["source"] for bucket in buckets])
    source = source[np.argsort(np.concatenate([bucket["row"] for bucket in buckets]))]
    write = _writer(model, task.most_words + 1, beams)
    numbers = np.concatenate([np.asarray(write(params, batch)) for (batch,) in batches(source)])
    return [task.words(pair, row) for pair, row in zip(pairs, numbers.tolist(), strict=False)]


def batches(*arrays: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """Split arrays into batches of one size, the last filled up with copies of the last row."""
    for begin in range(0, len(arrays[0]), BATCH):
        places = np.minimum(np.arange(begin, begin + BATCH), len(arrays[0]) - 1)
        yield tuple(array[places] for array in arrays)


@functools.cache
def _writer(model: nn.Module, most: int, beams: int) -> Callable[..., jax.Array]:
    @jax.jit
    def write(params: Any, source: jax.Array) -> jax.Array:
        variables = {"params": params}
        options = {"max_length": most, "beam_size": beams, "length_penalty": 1.0}
        return beam_decode(model, variables, source, **options).tokens[:, 0]

    return write

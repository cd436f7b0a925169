"""Masks for the models of the grammar: which keys each of the two queries may see, (n, q, k).

Under each mask both queries see at least six keys in common.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from experiments.trust.construction import KEYS, QUERIES

Mask = NDArray[np.bool_]
_LEAST = 6


def whole(rng: np.random.Generator, examples: int) -> Mask:
    """Let both queries see all keys."""
    return _between(np.zeros(examples, int), np.full(examples, KEYS))


def padded(rng: np.random.Generator, examples: int) -> Mask:
    """Draw the length of each sentence, and hide the keys after its end."""
    return _between(np.zeros(examples, int), rng.integers(_LEAST, KEYS + 1, examples))


def packed(rng: np.random.Generator, examples: int) -> Mask:
    """Let two sentences share the keys, and both queries see those of the first or the second."""
    length, is_first = rng.integers(_LEAST, KEYS, examples), rng.random(examples) < 0.5
    return _between(np.where(is_first, 0, KEYS - length), np.where(is_first, length, KEYS))


def causal(rng: np.random.Generator, examples: int) -> Mask:
    """Let each query see the keys up to its own; the second comes one to three keys later."""
    last = rng.integers(_LEAST, KEYS - 2, examples)
    return _between(np.zeros(examples, int), last, rng.integers(1, 4, examples))


def windowed(rng: np.random.Generator, examples: int) -> Mask:
    """Let each query see seven keys; the window of the second query begins one key later."""
    start = rng.integers(0, KEYS - _LEAST - 1, examples)
    both = [_between(start + query, start + query + _LEAST + 1) for query in range(QUERIES)]
    return np.stack([each[:, query] for query, each in enumerate(both)], 1)


def _between(start: np.ndarray, end: np.ndarray, later: np.ndarray | int = 0) -> Mask:
    """Let queries see the keys from the start to before the end, which is later for the second."""
    ends = end[:, None] + np.arange(QUERIES) * np.broadcast_to(later, end.shape)[:, None]
    keys = np.arange(KEYS)
    return (keys >= start[:, None, None]) & (keys < ends[..., None])


MASKS: dict[str, Callable[[np.random.Generator, int], Mask]] = {
    make.__name__: make for make in (whole, padded, packed, causal, windowed)
}

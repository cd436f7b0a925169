"""Words that must be copied: the document has them and the vocabulary does not."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen as nn

from attn_jax.hooks import capture
from experiments.summaries.writing import batches

OWN = "decoder.attention.weights"
"""The hook point of the attention of the step that predicts the word."""


class Cases(NamedTuple):
    """Words that must be copied, a row for each.

    Attributes:
        source: The words of the document, (n, s).
        target: The words of the summary, (n, t).
        word: The index of the word in the summary, (n,).
    """

    source: np.ndarray
    target: np.ndarray
    word: np.ndarray

    def take(self, rows: np.ndarray) -> "Cases":
        """Return some rows."""
        return Cases(*(array[rows] for array in self))

    @property
    def answer(self) -> np.ndarray:
        """The word to copy, (n,)."""
        return self.target[np.arange(len(self.word)), self.word]

    @property
    def places(self) -> np.ndarray:
        """Where the document has it, (n, s)."""
        return self.source == self.answer[:, None]


def copy_cases(buckets: Sequence[Mapping[str, np.ndarray]], vocabulary: int) -> Cases:
    """Return the words of summaries that must be copied.

    Args:
        buckets: Documents and summaries, by the length of summaries.
        vocabulary: The number of words of the vocabulary.
    """
    widest = max(bucket["target"].shape[1] for bucket in buckets)
    cases = []
    for bucket in buckets:
        rows, word = np.nonzero(bucket["target"] >= vocabulary)
        missing = widest - bucket["target"].shape[1]
        target = np.pad(bucket["target"][rows], ((0, 0), (0, missing)))
        cases.append((bucket["source"][rows], target, word.astype(np.int32)))
    return Cases(*map(np.concatenate, zip(*cases, strict=True)))


def copied(model: nn.Module, params: Any, cases: Cases) -> dict[str, float]:
    """Return the shares of words that a model ranks first, and that its attention finds.

    Args:
        model: A summarizer.
        params: Its parameters.
        cases: Words that must be copied.
    """
    if not len(cases.word):
        return {}
    run = _reader(model)
    parts = [jax.device_get(run(params, batch)) for batch in batches(*cases)]
    first, place = (np.concatenate(part)[: len(cases.word)] for part in zip(*parts, strict=True))
    at_place = np.take_along_axis(cases.places, place[:, None], 1)
    return {
        "test/copied": float((first == cases.answer).mean()),
        "test/copy_place": float(at_place.mean()),
        "test/copy_chance": float((cases.places.sum(1) / (cases.source != 0).sum(1)).mean()),
    }


def predicted(model: nn.Module, params: Any, inputs: tuple[jax.Array, ...]) -> Any:
    """Return the logits of one word of each summary, (n, words)."""
    return model.apply({"params": params}, *inputs, method="predict")


@functools.cache
def _reader(model: nn.Module) -> Callable[..., tuple[jax.Array, jax.Array]]:
    @jax.jit
    def run(params: Any, inputs: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array]:
        logits, captured = capture(predicted, OWN)(model, params, inputs)
        return logits.argmax(-1), captured[OWN][:, 0].argmax(-1)

    return run

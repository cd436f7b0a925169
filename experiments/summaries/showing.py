"""Short test documents to show, with their summaries and the attention of each word."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from attn_jax.models import translation_weights
from attn_jax.tasks import Summaries
from attn_jax.tasks.summaries.packages import PACKAGES
from attn_jax.tasks.summaries.pair import Pair
from experiments.summaries.writing import write_summaries

SHOWN = 3
"""The most documents that a page quotes."""

_SHORT = 32


@dataclasses.dataclass(frozen=True)
class Shown:
    """A document as a page shows it.

    Attributes:
        origin: Where it is from, with the license of a package.
        document: Its words.
        summary: The words of its summary.
        written: The summary that the model writes.
        weights: The attention when each word of the summary is predicted, (words, document).
        truth: Where the words are that must be copied, of the same shape.
    """

    origin: str
    document: tuple[str, ...]
    summary: tuple[str, ...]
    written: list[str]
    weights: np.ndarray
    truth: np.ndarray


def show(model: nn.Module, params: Any, task: Summaries, beams: int) -> list[Shown]:
    """Return short test documents of different packages, those whose summaries copy the most.

    Args:
        model: A summarizer.
        params: Its parameters.
        task: The task.
        beams: The number of summaries that are kept at each step.
    """
    pairs, size = task.pairs("test"), task.tokenizer.size
    rows = {
        int(row): (source, target)
        for bucket in task.load()["test"]
        for source, target, row in zip(*bucket.values(), strict=True)
        if (source != 0).sum() <= _SHORT
    }
    ranked = sorted(rows, key=lambda row: (-(rows[row][1] >= size).sum(), row))
    chosen: dict[str, int] = {}
    for row in ranked:  # One of each package.
        chosen.setdefault(pairs[row].origin, row)
    written = write_summaries(model, params, task, "test", beams)
    return [
        _show(model, params, pairs[row], rows[row], size, written[row])
        for row in list(chosen.values())[:SHOWN]
    ]


def _show(
    model: nn.Module,
    params: Any,
    pair: Pair,
    numbers: tuple[np.ndarray, np.ndarray],
    size: int,
    written: list[str],
) -> Shown:
    source, target = numbers
    (weights,) = _reader(model)({"params": params}, source[None], target[None]).values()
    truth = (target[:, None] == source) & (target[:, None] >= size)
    cells = (slice(len(pair.summary)), slice(int((source != 0).sum())))
    return Shown(
        origin=_named(pair.origin),
        document=pair.document[cells[1]],
        summary=pair.summary,
        written=written,
        weights=np.asarray(weights)[0, 0][cells],
        truth=truth[cells],
    )


@functools.cache
def _reader(model: nn.Module) -> Callable[..., dict[str, jax.Array]]:
    return jax.jit(functools.partial(translation_weights, model))


def _named(origin: str) -> str:
    """Return the name of a package with its license, or what names another origin."""
    licenses = {package.wheel.name: package.license for package in PACKAGES}
    return f"{origin}, {licenses[origin]}" if origin in licenses else origin

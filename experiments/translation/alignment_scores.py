"""Alignment scores of a split, for every layer, head, row and way of linking."""

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from attn_jax import measure
from attn_jax.models import translation_weights
from attn_jax.tasks.translation.tokens import END, PAD
from attn_jax.train.data_order import bucket_size, padded_batches

ROWS = ("before", "after")
"""The step that aligns a target token: the one that writes it, or the one after."""

LINKS = ("argmax", "threshold")
"""The ways in which weights become links."""

COUNTS = ("all_words", "linked_words")
"""The standard count of links, and one that leaves out target words without gold links."""

_BATCH = 256


class Score(NamedTuple):
    """The score of one head's links against gold.

    Attributes:
        layer: The attention's name, or that of a baseline.
        head: The head's number, from 0, or `mean`; empty for a baseline.
        row: One of `ROWS`; empty for a baseline.
        links: One of `LINKS`; empty for a baseline.
        aer_all_words: The alignment error rate, for which every link counts.
        precision_all_words: Fraction of the predicted links that are possible; None if no link is
            predicted.
        f_all_words: The harmonic mean of precision and recall.
        aer_linked_words: The alignment error rate, for which only links of target words with gold
            links count.
        precision_linked_words: The same for the precision.
        f_linked_words: The same for the harmonic mean.
        recall: Fraction of the sure links that are predicted, the same for both counts; None if
            there are no sure links.
    """

    layer: str
    head: str
    row: str
    links: str
    aer_all_words: float | None
    precision_all_words: float | None
    f_all_words: float | None
    aer_linked_words: float | None
    precision_linked_words: float | None
    f_linked_words: float | None
    recall: float | None


def gold_links(example: Any, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the sure and the possible links of an example as boolean arrays, (t, s)."""
    sure, possible = np.zeros(shape, bool), np.zeros(shape, bool)
    for links, cells in ((example.sure, sure), (example.possible, possible)):
        for target, source in links:
            cells[target, source] = True
    return sure, possible | sure


def batches(bucket: Mapping[str, np.ndarray]) -> Iterator[tuple[dict[str, np.ndarray], int]]:
    """Yield batches of one size, the last one padded, and the number of real rows in each."""
    for rows, weights in zip(*padded_batches(bucket_size(bucket), _BATCH), strict=True):
        yield {name: array[rows] for name, array in bucket.items()}, int(weights.sum())


def score_alignments(
    model: nn.Module,
    params: Any,
    buckets: Sequence[Mapping[str, np.ndarray]],
    examples: Sequence[Any],
    threshold: float,
) -> list[Score]:
    """Score every head of every layer, and the mean of the heads, by teacher forcing.

    Args:
        model: A translator.
        params: Its parameters.
        buckets: The split, or a part of it.
        examples: The examples of the split, which `example` in the buckets indexes.
        threshold: The smallest weight that is a link, for linking by threshold.

    Returns:
        The scores, and those of two baselines, a diagonal and a random alignment.
    """
    count, totals = _counter(model, threshold), {}
    for bucket in buckets:
        for batch, size in batches(bucket):
            shape = (batch["target"].shape[1], batch["source"].shape[1])
            links = [gold_links(examples[i], shape) for i in batch["example"][:size]]
            gold = np.zeros((2, len(batch["example"]), *shape), bool)
            gold[:, :size] = np.stack(links, axis=1)
            is_word = (batch["target"] != PAD) & (batch["target"] != END)
            # The last batch is padded with sentences that must not count again.
            is_word[size:] = False
            arrays = batch["source"], batch["target"], *gold, is_word
            counts = jax.device_get(count(params, *arrays))
            totals = jax.tree.map(np.add, totals, counts) if totals else counts
    return [score for name, counts in totals.items() for score in _scores(name, counts)]


def _scores(name: str, counts: measure.AlignmentCounts) -> Iterator[Score]:
    rates = [
        np.asarray(rate)
        for each in (counts, counts.linked_only())
        for rate in (each.error_rate, each.precision, each.f_measure)
    ]
    rates.append(np.asarray(counts.recall))
    shape = rates[0].shape
    if not shape:
        yield Score(name, "", "", "", *map(_number, rates))
    for way, row, head in np.ndindex(shape) if shape else ():
        if shape[-1] == 2 and not head:
            continue  # a single head is the mean
        head_name = "mean" if head == shape[-1] - 1 else str(head)
        values = (_number(rate[way, row, head]) for rate in rates)
        yield Score(name, head_name, ROWS[row], LINKS[way], *values)


def _number(rate: np.ndarray) -> float | None:
    """Return a rate as JSON can hold it, None where it is not defined."""
    return None if math.isnan(rate) else float(rate)


@functools.cache
def _counter(model: nn.Module, threshold: float) -> Callable[..., dict[str, Any]]:
    """Build a jitted function from parameters, a batch and its gold to the counts of each layer."""

    @jax.jit
    def count(
        params: Any, source: Array, target: Array, sure: Array, possible: Array, is_word: Array
    ) -> Any:
        weights = translation_weights(model, {"params": params}, source, target)
        layers = {
            name: _layer(each, sure, possible, is_word, threshold) for name, each in weights.items()
        }
        shape = (possible.shape[1], possible.shape[2])
        target_lengths, source_lengths = (target > 2).sum(-1), (source > 0).sum(-1)
        baselines = {
            "diagonal": measure.diagonal_links(target_lengths, source_lengths, shape),
            "random": measure.random_links(source_lengths, shape, rng=jax.random.key(0)),
        }
        return layers | {
            name: measure.alignment_counts(links, sure, possible, is_word).total()
            for name, links in baselines.items()
        }

    return count


def _layer(
    weights: Float[Array, "n h t s"],
    sure: Bool[Array, "n t s"],
    possible: Bool[Array, "n t s"],
    is_word: Bool[Array, "n t"],
    threshold: float,
) -> measure.AlignmentCounts:
    """Count links by way of linking, row and head; the last head is the mean of all."""
    heads = jnp.concatenate([weights, weights.mean(1, keepdims=True)], axis=1)
    # Rolling brings the first row to the last, which is the end or padding and does not count.
    rows = jnp.stack([heads, jnp.roll(heads, -1, axis=-2)])
    links = jnp.stack([measure.argmax_links(rows), measure.threshold_links(rows, threshold)])
    sure, possible = (jnp.broadcast_to(x[:, None], links.shape) for x in (sure, possible))
    mask = jnp.broadcast_to(is_word[:, None], links.shape[:-1])
    counts = measure.alignment_counts(links, sure, possible, mask)
    return measure.AlignmentCounts(*(count.sum(2) for count in counts))

"""A trained translator with its data: its translations, its weights, and scores of both."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen as nn

from attn_jax.models import translation_weights
from experiments.translation.alignment import Alignment
from experiments.translation.alignment_scores import COUNTS, Score, score_alignments
from experiments.translation.scores import (
    decode_split,
    longest_target,
    score_texts,
    score_tokens,
    targets,
)

_METRICS = {
    name: name if name.startswith("aer") else f"alignment_{name}" for name in Score._fields[4:]
}


class Evaluation(NamedTuple):
    """A translator and the task it is evaluated on.

    Attributes:
        model: The network, with the task's sizes.
        params: Its parameters.
        task: The task.
        splits: The task's buckets.
        alignment: Which attention is the alignment.
    """

    model: nn.Module
    params: Any
    task: Any
    splits: Mapping[str, Sequence[Mapping[str, np.ndarray]]]
    alignment: Alignment

    def weigh(self, source: np.ndarray, target: np.ndarray) -> dict[str, np.ndarray]:
        """Return the weights of every layer, (n, h, t, s), for rows of token numbers."""
        return jax.device_get(_weights(self.model)(self.params, source, target))

    def align(self, split: str, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the alignment of the first sentences of a split, and their indices in it."""
        bucket = first(self.splits[split][0], count)
        weights = self.weigh(bucket["source"], bucket["target"])
        return self.alignment.select(weights), bucket["example"]

    def score_alignments(self, split: str, limit: int | None = None) -> list[Score]:
        """Score every head on a split, or on the first `limit` sentences of each bucket."""
        buckets = [first(bucket, limit) for bucket in self.splits[split]]
        examples = self.task.examples(split)
        return score_alignments(
            self.model, self.params, buckets, examples, self.alignment.threshold
        )

    def decode_test(self) -> tuple[dict[int, np.ndarray], dict[int, np.ndarray]]:
        """Translate the test split; return the translations and the references, by index."""
        buckets, length = self.splits["test"], longest_target(self.splits)
        return decode_split(self.model, self.params, buckets, length), targets(buckets, length)

    def score_test(self) -> tuple[dict[str, float], dict[str, Any]]:
        """Score the translations and the alignment of the test split.

        Returns:
            Metrics for the last row; and the scores of every head, with sacrebleu's signatures.
        """
        translations, references = self.decode_test()
        examples, tokenizer = self.task.examples("test"), self.task.target_tokenizer
        scores, signatures = score_texts(
            [tokenizer.decode(tokens.tolist()) for tokens in translations.values()],
            [examples[i].target_text for i in translations],
        )
        scores |= score_tokens(
            *(np.stack([rows[i] for i in translations]) for rows in (translations, references))
        )
        is_aligned = self.task.has_gold and self.model.alignment_pattern
        heads = self.score_alignments("test") if is_aligned else []
        row = {f"greedy/{name}": value for name, value in scores.items()} | self._row(heads)
        return row, {"signatures": signatures, "alignment": [score._asdict() for score in heads]}

    def _row(self, scores: Sequence[Score]) -> dict[str, float]:
        """Return the alignment's own score in full, and the error rates of every head.

        Rates that are not defined, such as the precision of no links, are left out.
        """
        if not scores:
            return {}
        chosen = self.alignment.select_score(scores)._asdict()
        row = {f"test/{_METRICS[name]}": chosen[name] for name in _METRICS}
        for count in COUNTS:
            rates = {"/".join(filter(None, s[:4])): getattr(s, f"aer_{count}") for s in scores}
            row |= {f"aer_{count}/{name}": rate for name, rate in rates.items()}
        return {name: rate for name, rate in row.items() if rate is not None}


def first(bucket: Mapping[str, np.ndarray], count: int | None) -> dict[str, np.ndarray]:
    """Return the first rows of a bucket."""
    return {name: array[:count] for name, array in bucket.items()}


@functools.cache
def _weights(model: nn.Module) -> Callable[..., dict[str, jax.Array]]:
    @jax.jit
    def weights(params: Any, source: jax.Array, target: jax.Array) -> dict[str, jax.Array]:
        return translation_weights(model, {"params": params}, source, target)

    return weights

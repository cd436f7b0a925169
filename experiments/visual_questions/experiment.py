"""Experiments that answer questions about pictures, and score where their attention looks."""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from attn_jax.measure import report_card
from attn_jax.train import sequence_loss
from attn_jax.train.disk.stored import read_json, write_json
from experiments.experiment import Experiment
from experiments.truth.evidence import Evidence
from experiments.visual_questions.looking import Looked, cells_that_decide, look, looking_scores

_ON_CARD = 256
_SHOWN = 6
_DIGEST = "pictures.json"


@dataclasses.dataclass(frozen=True)
class VisualQuestionsExperiment(Experiment):
    """Answer questions about pictures, and compare the attention with what decides the answers.

    The last row of metrics has `test/question_only`, the accuracy of the most frequent answer in
    training to the same question; and, where the truth is known, `test/new` and `test/known`, the
    accuracy of questions that take a new combination and of the others; `attention/pointing`,
    `attention/mass` and `attention/area` of the cells that decide; and `attention/word_pointing`,
    `attention/word_mass` and `attention/word_share` of the words that do.
    """

    inputs: ClassVar[tuple[str, ...]] = ("image", "question")

    def loss(self, outputs: jax.Array, batch: Mapping[str, jax.Array]) -> Any:
        """Return the cross-entropy of the answers, the mean over all questions and rounds.

        The metrics are those of the last round.
        """
        options = {"pad": -1, "label_smoothing": self.train.label_smoothing}
        target = {**batch, "target": batch["label"]}
        rounds = [sequence_loss(logits, target, **options) for logits in outputs]
        return sum(objective for objective, _ in rounds) / len(rounds), rounds[-1][1]

    def begin(self, run: Path) -> None:
        """Note the pictures and questions of the run."""
        write_json(run / _DIGEST, {"pictures": self._digest()})

    def check(self, run: Path) -> None:
        """Refuse a run that was trained on other pictures or questions."""
        if read_json(run / _DIGEST, dict).get("pictures") != self._digest():
            raise ValueError(
                f"the pictures or questions have changed since {run} was trained. Restore the "
                "files that it was trained on, or train again."
            )

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for _, (bucket,) in sorted(self.task.load().items()):
            for _, array in sorted(bucket.items()):
                digest.update(array.tobytes())
        return digest.hexdigest()

    def on_epoch(self, params: Any, row: Mapping[str, Any], run: Path) -> Mapping[str, float]:
        """Score the test questions and the attention after the last epoch."""
        if row["epoch"] < self.train.epochs:
            return {}
        batch = self._split("test")
        return self.scores(batch, look(self.sized_model(), params, batch))

    def scores(self, batch: Mapping[str, np.ndarray], looked: Looked) -> dict[str, float]:
        """Return the scores of answers and attention, as they stand in the last row."""
        right, exists = looked.logits.argmax(-1) == batch["label"], batch["label"] >= 0
        result = {"test/question_only": self.task.question_only("test")}
        if batch["is_new"].any():
            result["test/new"] = float(np.mean(right, where=exists & batch["is_new"]))
            result["test/known"] = float(np.mean(right, where=exists & ~batch["is_new"]))
        found = looking_scores(looked, batch, self._grid())
        return result | {f"attention/{name}": value for name, value in found.items()}

    def _grid(self) -> tuple[int, int]:
        return self.sized_model().grid((self.task.side,) * 2)

    def _split(self, split: str) -> dict[str, np.ndarray]:
        prepared = self.task.prepare(self.task.load()[split][0])
        return {name: np.asarray(array) for name, array in prepared.items()}

    def evidence(self, params: Any) -> Evidence:
        """Return a question about each test picture, and the cells that decide it if known.

        Questions without such cells are left out where others have them.
        """
        batch, grid = self._split("test"), self._grid()
        truth = cells_that_decide(batch["box"], grid)
        is_known = bool(truth.any())
        usable = np.asarray(truth.any(-1) if is_known else batch["label"] >= 0)
        rows = np.flatnonzero(usable.any(-1))[:_ON_CARD]
        # Turn by turn the first, the second and so on, so that all kinds of questions occur.
        asked = [np.flatnonzero(usable[row])[row % usable[row].sum()] for row in rows]
        image = batch["image"][rows]
        return Evidence(
            fn=functools.partial(_answer, self.sized_model(), image.shape[1:], params),
            # Flat, because the card would take an axis as long as the cells for the cells.
            inputs=(image.reshape(len(rows), -1), batch["question"][rows, asked]),
            target=batch["label"][rows, asked],
            truth=truth[rows, asked] if is_known else None,
            mask=np.ones((len(rows), truth.shape[-1]), bool),
            attention=self.model.cells_pattern,
            query=0,
            metrics=(
                "test/accuracy",
                "test/question_only",
                *(("test/new", "attention/pointing", "attention/word_pointing") * is_known),
            ),
        )

    def draw(self, params: Any, run: Path) -> None:
        """Draw test questions with the attention of each round, and the report card."""
        from attn_jax.train import read_metrics
        from experiments.report import draw_curves, save_card
        from experiments.report.visual_questions import save_looks, save_scores

        batch = self._split("test")
        looked = look(self.sized_model(), params, batch)
        draw_curves(run)
        save_looks(run, self.task, batch, looked, self._grid(), _SHOWN)
        save_scores(run, read_metrics(run)[-1])
        evidence = self.evidence(params)
        card = report_card(
            evidence.fn,
            evidence.inputs,
            attention=evidence.attention,
            target=evidence.target,
            mask=evidence.mask,
            objects=evidence.truth,
            query=0,
            adversarial=False,
        )
        save_card(run, card)


def _answer(
    model: nn.Module, shape: tuple[int, ...], params: Any, inputs: tuple[jax.Array, jax.Array]
) -> jax.Array:
    """Return the logits of the answers to one question about each picture, (n, answers)."""
    pixels, question = inputs
    image = jnp.reshape(pixels, (len(pixels), *shape))
    logits: Any = model.apply({"params": params}, image, question[:, None])
    return logits[-1, :, 0]

"""Experiments on texts whose evidence is known, which score classes and attention."""

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

from attn_jax.hooks import capture
from attn_jax.measure import mass_on_object, pointing_game, report_card
from attn_jax.train import classification_loss
from attn_jax.train.disk.stored import read_json, write_json
from experiments.experiment import Experiment
from experiments.truth.evidence import Evidence

_ON_CARD = 256
_SHOWN = 6
_DIGEST = "texts.json"


@dataclasses.dataclass(frozen=True)
class PlantedEvidenceExperiment(Experiment):
    """Classify texts by a model that takes tokens, and compare its attention with the evidence.

    The last row of metrics has `test/pointing`, the share of test texts whose top word decides, and
    `test/mass`, the share of the attention on the words that decide.
    """

    inputs: ClassVar[tuple[str, ...]] = ("tokens",)

    def loss(self, outputs: jax.Array, batch: Mapping[str, jax.Array]) -> Any:
        """Return cross-entropy and accuracy."""
        return classification_loss(outputs, batch, label_smoothing=self.train.label_smoothing)

    def begin(self, run: Path) -> None:
        """Note the texts of the run."""
        write_json(run / _DIGEST, {"texts": self._digest()})

    def check(self, run: Path) -> None:
        """Refuse a run that was trained on other texts."""
        if read_json(run / _DIGEST, dict).get("texts") != self._digest():
            raise ValueError(
                f"the texts have changed since {run} was trained. Restore the file that it was "
                "trained on, or train again."
            )

    def _digest(self) -> str:
        splits = {split: self.task.texts(split) for split in ("train", "validation", "test")}
        return hashlib.sha256(json.dumps(splits).encode()).hexdigest()

    def on_epoch(self, params: Any, row: Mapping[str, Any], run: Path) -> Mapping[str, float]:
        """Compare the attention over the test texts with the evidence, after the last epoch."""
        if row["epoch"] < self.train.epochs:
            return {}
        texts = self._known_texts()
        if not len(texts["label"]):
            return {}
        weights = jnp.asarray(self.predict(params, texts)[1])
        evidence = jnp.asarray(texts["evidence"])
        return {
            "test/pointing": float(pointing_game(weights, evidence).mean()),
            "test/mass": float(mass_on_object(weights, evidence).mean()),
        }

    def _known_texts(self) -> dict[str, np.ndarray]:
        """Return the test texts whose evidence is known."""
        texts = self.task.load()["test"][0]
        known = texts["evidence"].any(-1)
        return {name: array[known] for name, array in texts.items()}

    def predict(
        self, params: Any, texts: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the logits of texts and the weight of each word, the mean over the layers."""
        logits, weights = _predictor(self.sized_model())(params, jnp.asarray(texts["tokens"]))
        return np.asarray(logits), np.asarray(weights)

    def evidence(self, params: Any) -> Evidence | None:
        """Return test texts, which the planted words decide."""
        texts = {name: array[:_ON_CARD] for name, array in self._known_texts().items()}
        if not len(texts["label"]):
            return None
        model = self.sized_model()
        added = ((0, 0), (model.added_tokens, 0))
        layers = (model.attention_pattern,) if model.added_tokens else ()
        return Evidence(
            fn=functools.partial(_apply, model, params),
            inputs=jnp.asarray(texts["tokens"]),
            target=texts["label"],
            truth=np.pad(texts["evidence"], added),
            mask=np.pad(texts["tokens"] != 0, added, constant_values=True),
            attention=model.attention_pattern,
            query=0,
            layers=layers,
            metrics=("test/accuracy",),
        )

    def draw(self, params: Any, run: Path) -> None:
        """Draw test texts with the attention over them, and the report card of the attention."""
        from experiments.report import Sheet, save_card, save_sheet
        from experiments.report.texts import draw_marked

        texts = self.task.load()["test"][0]
        logits, weights = self.predict(params, texts)
        right = logits.argmax(-1) == texts["label"]
        chosen = [*np.flatnonzero(~right)[: _SHOWN // 3], *np.flatnonzero(right)][:_SHOWN]
        marked = [self._marked(number, logits[number], weights[number]) for number in chosen]
        caption = (
            "Test texts, each word in the color of its attention weight. The words that decide "
            "are framed in green. Training saw the classes alone. Texts that the model gets wrong "
            "come first."
        )
        sheet = Sheet("texts", "Where it looks in a text", caption, draw_marked(marked))
        save_sheet(run, sheet)
        model = self.sized_model()
        few = texts["tokens"][:_ON_CARD]
        added = ((0, 0), (model.added_tokens, 0))
        card = report_card(
            functools.partial(_apply, model, params),
            jnp.asarray(few),
            attention=model.attention_pattern,
            mask=np.pad(few != 0, added, constant_values=True),
            target=texts["label"][:_ON_CARD],
            query=0,
        )
        save_card(run, card)

    def _marked(self, number: int, logits: np.ndarray, weights: np.ndarray) -> Any:
        from experiments.report.texts import Marked

        text = self.task.texts("test")[number]
        predicted = self.task.classes[int(logits.argmax())]
        truth = np.isin(np.arange(len(text.words)), text.evidence)
        title = f"{text.label}, predicted {predicted}"
        return Marked(title, predicted == text.label, text.words, weights[: len(truth)], truth)


def _apply(model: nn.Module, params: Any, tokens: jax.Array) -> Any:
    return model.apply({"params": params}, tokens)


@functools.cache
def _predictor(model: nn.Module) -> Callable[..., Any]:
    """Build a jitted function from parameters and tokens to logits and weights of the words."""
    pattern, added = model.attention_pattern, model.added_tokens

    @jax.jit
    def predict(params: Any, tokens: jax.Array) -> tuple[jax.Array, jax.Array]:
        run = capture(model.apply, {pattern: _first_query})
        logits, captured = run({"params": params}, tokens)
        (rows,) = captured.values()
        return logits, rows.reshape(-1, *rows.shape[-2:]).mean(0)[:, added:]

    return predict


def _first_query(weights: jax.Array) -> jax.Array:
    """Return the row of the first query, (n, k), the mean over the heads."""
    return weights[..., 0, :].reshape(len(weights), -1, weights.shape[-1]).mean(1)

"""Recognition by a decoder that attends to the sound, and whether it looks where the word is."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from attn_jax.hooks import capture
from attn_jax.measure import report_card
from attn_jax.train import sequence_loss
from experiments.speech.experiment import SpeechExperiment, apply_rngs
from experiments.speech.hearing import words_of
from experiments.truth.evidence import Evidence
from experiments.truth.ways import raw_attention

OWN = "decoder.attention.weights"
"""The hook point of the attention of the step that predicts the word."""

_JUDGED = 100
_ON_CARD = 48


class AttentionExperiment(SpeechExperiment):
    """Write words one after the other, each after a look at the sound."""

    def init(self, rng: jax.Array, batch: Mapping[str, jax.Array]) -> Any:
        """Make fresh parameters."""
        inputs = (batch["mel"], batch["frames"], batch["target"])
        return self.sized_model().init(rng, *inputs)["params"]

    def apply(
        self,
        params: Any,
        batch: Mapping[str, jax.Array],
        *,
        rng: jax.Array | None = None,
        train: bool = False,
    ) -> Any:
        """Run the model, which returns the logits of each word."""
        inputs = (batch["mel"], batch["frames"], batch["target"])
        model, rngs = self.sized_model(), apply_rngs(rng)
        return model.apply({"params": params}, *inputs, train=train, rngs=rngs)

    def loss(self, outputs: jax.Array, batch: Mapping[str, jax.Array]) -> Any:
        """Return the cross-entropy of the words, given those before."""
        objective, metrics = sequence_loss(
            outputs, batch, label_smoothing=self.train.label_smoothing
        )
        return objective, {"loss": metrics["loss"]}

    def run(
        self, params: Any, batch: Mapping[str, Any]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the words heard, the attention of those said, and its center of mass."""
        return self.hear_by(self.sized_model(), params, batch)

    def hear_by(
        self, model: nn.Module, params: Any, batch: Mapping[str, Any]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what :meth:`run` does, by a model with the same parameters."""
        run = _runner(model, self.task.prepare, self.task.most_words + 1)
        tokens, weights = jax.device_get(run(params, dict(batch)))
        places = weights @ np.arange(weights.shape[-1])
        return tokens, weights, places / np.maximum(weights.sum(-1), 1e-9)

    def evidence(self, params: Any) -> Evidence | None:
        """Return words of test utterances, one of each, with the states at which it is said.

        The utterances are of one padded length, the one with the most of them.
        The output is the word, given the words before it; the attention is that of its own step.
        """
        loaded = max(self.task.load()["test"], key=lambda bucket: len(bucket["target"]))
        timed = np.flatnonzero(loaded["times"][:, 0] >= 0)[:_JUDGED]
        if not len(timed):
            return None
        batch = self.task.prepare({name: array[timed] for name, array in loaded.items()})
        target, times = loaded["target"][timed], loaded["times"][timed]
        rng = np.random.default_rng(self.train.seed)
        counts = [len(words_of(row)) for row in target]
        word = rng.integers(counts).astype(np.int32)
        merged = self.model.encoder.merged
        rows, states = np.arange(len(word)), batch["mel"].shape[1] // merged
        return Evidence(
            fn=functools.partial(_predicted, self.sized_model(), params),
            inputs=(batch["mel"], batch["frames"], batch["target"], jnp.asarray(word)),
            target=target[rows, word],
            truth=said_at(times[rows, word], times[rows, word + 1], states, self.state),
            mask=np.arange(states) * merged < np.asarray(batch["frames"])[:, None],
            attention=OWN,
            metrics=("test/wer", "test/wer_new_accent", "timing/median_ms"),
        )

    def draw(self, params: Any, run: Path) -> None:
        """Draw utterances with the attention of each word, errors, and the report card."""
        from experiments.report import save_card

        super().draw(params, run)
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
            values=np.where(few.exists, raw_attention(few), 0),
            normalized=few.normalized,
            adversarial=False,
        )
        save_card(run, card)

    def caption(self, last: Mapping[str, Any]) -> str:
        """Return what the drawing of utterances shows."""
        return (
            "Test utterances: the spectrogram, with noise, and below it the attention to each "
            "state when each word that is said is written (a row each). Green frames say when the "
            "word is said; a mark, where the attention has its center."
        )


def said_at(begin: np.ndarray, end: np.ndarray, states: int, state: float) -> np.ndarray:
    """Return which states have their middle within a time, or else the state nearest to it.

    Args:
        begin: The seconds at which it begins, (n,).
        end: The seconds at which it ends, (n,).
        states: The number of states.
        state: The seconds of a state.

    Example:
        >>> said_at(np.array([0.05]), np.array([0.11]), 4, 0.04).tolist()
        [[False, True, True, False]]
    """
    middles = (np.arange(states) + 0.5) * state
    inside = (middles >= begin[:, None]) & (middles < end[:, None])
    nearest = np.abs(middles - ((begin + end) / 2)[:, None]).argmin(-1)
    return np.where(inside.any(-1, keepdims=True), inside, np.arange(states) == nearest[:, None])


def _predicted(model: nn.Module, params: Any, inputs: tuple[jax.Array, ...]) -> Any:
    """Return the logits of one word of each utterance, (n, words)."""
    return model.apply({"params": params}, *inputs, method="predict")


@functools.cache
def _runner(model: nn.Module, prepare: Callable[..., Any], most: int) -> Callable[..., Any]:
    @jax.jit
    def run(params: Any, batch: dict[str, jax.Array]) -> tuple[Any, jax.Array]:
        prepared = prepare(batch)
        mel, frames, target = (prepared[name] for name in ("mel", "frames", "target"))
        tokens = model.apply({"params": params}, mel, frames, most, method="write")
        _, captured = capture(model.apply, model.pattern)({"params": params}, mel, frames, target)
        (weights,) = captured.values()
        # A loop over the words puts them first.
        return tokens, weights if weights.ndim == 3 else weights[:, :, 0].swapaxes(0, 1)

    return run

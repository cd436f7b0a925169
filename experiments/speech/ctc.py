"""Recognition by connectionist temporal classification, without attention: a baseline."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import optax
from flax import linen as nn

from attn_jax.tasks.translation.tokens import END, PAD
from attn_jax.train.protocols import WEIGHT
from experiments.speech.ctc_path import best_words, word_peaks
from experiments.speech.experiment import SpeechExperiment, apply_rngs
from experiments.speech.hearing import words_of


class CtcExperiment(SpeechExperiment):
    """Recognize words by the state at which each of them peaks."""

    def init(self, rng: jax.Array, batch: Mapping[str, jax.Array]) -> Any:
        """Make fresh parameters."""
        return self.sized_model().init(rng, batch["mel"], batch["frames"])["params"]

    def apply(
        self,
        params: Any,
        batch: Mapping[str, jax.Array],
        *,
        rng: jax.Array | None = None,
        train: bool = False,
    ) -> Any:
        """Run the model, which returns the logits of each state, and which states exist."""
        inputs, rngs = (batch["mel"], batch["frames"]), apply_rngs(rng)
        return self.sized_model().apply({"params": params}, *inputs, train=train, rngs=rngs)

    def loss(
        self, outputs: tuple[jax.Array, jax.Array], batch: Mapping[str, jax.Array]
    ) -> tuple[jax.Array, dict]:
        """Return the loss for each word."""
        return ctc_loss(outputs, batch)

    def run(
        self, params: Any, batch: Mapping[str, Any]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the words heard, the probability of those said at each state, and their peaks."""
        prepared = self.task.prepare
        log, exists = jax.device_get(_runner(self.sized_model(), prepared)(params, dict(batch)))
        return read_ctc(log, exists.sum(-1), batch["target"])

    def caption(self, last: Mapping[str, Any]) -> str:
        """Return what the drawing of utterances shows."""
        return (
            "Test utterances: the spectrogram, with noise, and below it the probability of each "
            "word that is said (a row each) at each state. Green frames say when the word is said; "
            "a mark, where its probability peaks."
        )


def read_ctc(
    log: np.ndarray, states: np.ndarray, target: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return words heard, the probability of those said at each state, and where each peaks."""
    places = np.zeros(target.shape)
    for row, said in enumerate(map(words_of, target)):
        places[row, : len(said)] = word_peaks(log[row], int(states[row]), said)
    maps = np.exp(np.take_along_axis(log, target[:, None], -1)).swapaxes(1, 2)
    return best_words(log, states), maps, places


def ctc_loss(
    outputs: tuple[jax.Array, jax.Array], batch: Mapping[str, jax.Array]
) -> tuple[jax.Array, dict]:
    """Return the negative logarithm of the probability of the words, for each word."""
    logits, exists = outputs
    said = (batch["target"] != PAD) & (batch["target"] != END)
    losses = optax.ctc_loss(logits, 1.0 - exists, batch["target"], 1.0 - said, blank_id=PAD)
    weight = batch.get(WEIGHT, jax.numpy.ones(len(losses)))
    total, words = (weight * losses).sum(), (weight * said.sum(-1)).sum()
    return total / jax.numpy.maximum(words, 1.0), {"loss": (total, words)}


@functools.cache
def _runner(model: nn.Module, prepare: Callable[..., Any]) -> Callable[..., Any]:
    @jax.jit
    def run(params: Any, batch: dict[str, jax.Array]) -> tuple[jax.Array, Any]:
        prepared = prepare(batch)
        logits, exists = model.apply({"params": params}, prepared["mel"], prepared["frames"])
        return jax.nn.log_softmax(logits), exists

    return run

"""Recognition by attention whose encoder is also trained without it."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from attn_jax.tasks.speech.utterance import RATE
from experiments.speech.attention import AttentionExperiment
from experiments.speech.ctc import ctc_loss, read_ctc
from experiments.speech.hearing import Buckets, Heard, hear, timing_errors


@dataclasses.dataclass(frozen=True)
class JointExperiment(AttentionExperiment):
    """Write words by attention to an encoder that learns by CTC too.

    Words are written by attention alone; Kim et al. also let CTC take part in the search. The last
    row of metrics has `timing/ctc_median_ms` besides, how far the peaks of the CTC branch are from
    the middle of each word.
    """

    ctc_weight: float = 0.2
    """The weight of CTC in the loss, from 0 to 1; that of attention is the rest."""

    def __post_init__(self) -> None:
        """Check the weight."""
        if not 0 <= self.ctc_weight <= 1:
            raise ValueError(f"ctc_weight={self.ctc_weight} must be from 0 to 1.")

    def loss(self, outputs: Any, batch: Mapping[str, jax.Array]) -> Any:
        """Return the weighted sum of both losses, each for one word."""
        logits, branch = outputs
        attention, metrics = super().loss(logits, batch)
        ctc, of_ctc = ctc_loss(branch, batch)
        objective = (1 - self.ctc_weight) * attention + self.ctc_weight * ctc
        return objective, metrics | {"ctc_loss": of_ctc["loss"]}

    def on_epoch(self, params: Any, row: Mapping[str, Any], run: Path) -> Mapping[str, float]:
        """Compute error rates, and after the last epoch also the error of the branch's peaks."""
        scores = super().on_epoch(params, row, run)
        if row["epoch"] < self.train.epochs:
            return scores
        timing = timing_errors(self.hear_branch(params, self.task.load()["test"]))
        named = {f"timing/ctc_{name}": timing[name] for name in ("median_ms",) if name in timing}
        return {**scores, **named}

    def hear_branch(self, params: Any, buckets: Buckets) -> list[Heard]:
        """Let the CTC branch hear the utterances of a split."""
        branch = _branch(self.sized_model(), self.task.prepare)

        def run(batch: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            log, exists = jax.device_get(branch(params, dict(batch)))
            return read_ctc(log, exists.sum(-1), batch["target"])

        return hear(run, buckets, RATE, self.state)


@functools.cache
def _branch(model: nn.Module, prepare: Callable[..., Any]) -> Callable[..., Any]:
    @jax.jit
    def run(params: Any, batch: dict[str, jax.Array]) -> tuple[jax.Array, Any]:
        inputs = (prepared := prepare(batch))["mel"], prepared["frames"], prepared["target"]
        outputs: Any = model.apply({"params": params}, *inputs)
        logits, exists = outputs[1]
        return jax.nn.log_softmax(logits), exists

    return run

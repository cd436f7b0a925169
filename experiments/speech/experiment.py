"""Experiments that recognize spoken words, and score when they hear each of them."""

import abc
import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from attn_jax._extras import require
from attn_jax.tasks.speech.utterance import RATE
from attn_jax.train import TrainConfig, read_metrics
from attn_jax.train.disk.stored import read_json, write_json
from experiments.experiment import Experiment
from experiments.speech.hearing import (
    Buckets,
    Heard,
    hear,
    timing_errors,
    word_error_rate,
)

RECIPE = TrainConfig(
    epochs=8,
    batch_size=32,
    learning_rate=3e-3,
    warmup=0.1,
    weight_decay=1e-3,
    clip_norm=5.0,
    eval_batch_size=50,
)
"""Settings found by trials on the validation split."""

_DIGEST = "utterances.json"
_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class SpeechExperiment(Experiment):
    """Recognize spoken words by a model that maps spectrograms to tokens.

    Rows of metrics have `validation/wer`, the word error rate, and `validation/accuracy`, one minus
    it. The last row has `test/wer`, and the same for the accent that training never hears
    (`test/wer_new_accent`) and for the accents of training (`test/wer_known_accents`), both by
    speakers who are new, and at three levels of noise (`test/wer_10_db`); and
    `timing/median_ms`, how far words are heard from the middle of where they are said, with
    `timing/even_ms`, the same of a guess that spaces them evenly.
    """

    @abc.abstractmethod
    def run(
        self, params: Any, batch: Mapping[str, Any]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return tokens heard, the map of the words said, and their places, as `hear` takes it."""

    @property
    def state(self) -> float:
        """The seconds of a state."""
        return self.task.seconds_per_frame * self.model.encoder.merged

    def begin(self, run: Path) -> None:
        """Note the utterances of the run, and check that they can be scored."""
        require("jiwer", extra="speech")
        write_json(run / _DIGEST, {"utterances": self._digest()})

    def check(self, run: Path) -> None:
        """Refuse a run that was trained on other utterances."""
        if read_json(run / _DIGEST, dict).get("utterances") != self._digest():
            raise ValueError(
                f"the utterances have changed since {run} was trained. Restore the files that it "
                "was trained on, or train again."
            )

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for split in ("train", "validation", "test"):
            for each in self.task.utterances(split):
                digest.update(each.sound.tobytes())
                digest.update(repr(each[1:]).encode())
        return digest.hexdigest()

    def hear(self, params: Any, buckets: Buckets) -> list[Heard]:
        """Let the model hear the utterances of a split."""
        return hear(lambda batch: self.run(params, batch), buckets, RATE, self.state)

    def word_errors(self, heard: Sequence[Heard], split: str) -> float:
        """Return the word error rate of a split."""
        said, vocabulary = self.task.utterances(split), self.task.tokenizer.vocabulary
        words = [[vocabulary[token] for token in each.tokens] for each in heard]
        return word_error_rate([said[each.row].words for each in heard], words)

    def on_epoch(self, params: Any, row: Mapping[str, Any], run: Path) -> Mapping[str, float]:
        """Compute error rates on validation, and after the last epoch also on test."""
        splits = self.task.load()
        errors = self.word_errors(self.hear(params, splits["validation"]), "validation")
        scores = {"validation/wer": errors, "validation/accuracy": 1 - errors}
        if row["epoch"] < self.train.epochs:
            return scores
        heard = self.hear(params, splits["test"])
        groups = {"wer": heard}
        accents = {"new_accent": True, "known_accents": False}
        if len({each.new_accent for each in heard}) > 1:
            groups |= {
                f"wer_{name}": [each for each in heard if each.new_accent == is_new]
                for name, is_new in accents.items()
            }
        for level in dict.fromkeys(
            np.linspace(self.task.snr[0], self.task.snr[1], 3).round().tolist()
        ):
            noisy = [{**b, "snr": np.full_like(b["snr"], level)} for b in splits["test"]]
            groups[f"wer_{level:.0f}_db"] = self.hear(params, noisy)
        scores |= {f"test/{k}": self.word_errors(each, "test") for k, each in groups.items()}
        timing = timing_errors(heard)
        return scores | {f"timing/{name}": value for name, value in timing.items()}

    def draw(self, params: Any, run: Path) -> None:
        """Draw the errors, and some test utterances with what is heard in them and when."""
        from experiments.report.speech import save_errors, save_utterances

        buckets = self.task.load()["test"]
        heard = [each for each in self.hear(params, buckets) if len(each.target)][:_SHOWN]
        mels = {}
        for bucket in buckets:
            rows = np.isin(bucket["row"], [each.row for each in heard])
            if rows.any():
                chosen = {name: array[rows] for name, array in bucket.items()}
                mels |= dict(
                    zip(chosen["row"], np.asarray(self.task.prepare(chosen)["mel"]), strict=True)
                )
        last = read_metrics(run)[-1]
        save_utterances(run, heard, mels, self.task.tokenizer.vocabulary, self.caption(last))
        save_errors(run, last)

    def caption(self, last: Mapping[str, Any]) -> str:
        """Return what the drawing of utterances shows."""
        raise NotImplementedError(f"{type(self).__name__} does not define caption(last).")


def apply_rngs(rng: jax.Array | None) -> dict[str, jax.Array]:
    """Return the random streams of a model in training."""
    if rng is None:
        return {}
    dropout, noise = jax.random.split(rng)
    return {"dropout": dropout, "noise": noise}

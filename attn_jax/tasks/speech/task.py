"""The task of recognizing spoken words."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from attn_jax.tasks.own_tables import split_at_random
from attn_jax.tasks.speech.features import HOP, add_noise, log_mel, normalized
from attn_jax.tasks.speech.generated import SYMBOLS, Symbols, generated_utterances
from attn_jax.tasks.speech.own import read_utterances
from attn_jax.tasks.speech.utterance import RATE, Utterance
from attn_jax.tasks.speech.voices import NEW_ACCENT
from attn_jax.tasks.translation.tokens import END, VocabularyTokenizer, train_vocabulary

__all__ = ["Speech"]

_SPLITS = ("train", "validation", "test")
_BUCKETS = (0.6, 1.0)
"""The shares of all utterances up to the padded length of each bucket."""

_STEP = 8 * HOP
"""Padded lengths are multiples of this, so that an encoder may merge eight frames."""


@dataclasses.dataclass(frozen=True)
class Speech:
    """Spoken words in noise, with the time of each word.

    The utterances are strings of digits, or of digits and letters, by the synthesizer eSpeak NG, in
    many voices at many speeds and pitches, and are kept in the cache. The speakers of validation
    and test utterances speak none of training, and half of the test utterances have an accent that
    training does not have. White noise is drawn anew in every epoch; that of a validation or test
    utterance is always the same.

    With `path` the utterances are your own: a UTF-8 file of tab-separated columns `file`, a WAV
    file, and `text`, and `times` if you know when each word begins and the last one ends.

    Raises:
        ValueError: If a setting is out of its range.
    """

    symbols: Symbols = "digits"
    """What is said: digits, or digits and letters."""

    train: int = 4000
    """The number of training utterances. Your own file gives all it has, at most this number."""

    validation: int = 200
    """The number of validation utterances, at most a tenth of your own."""

    test: int = 500
    """The number of test utterances, at most a tenth of your own."""

    words: tuple[int, int] = (3, 8)
    """The fewest and the most words of a generated utterance."""

    snr: tuple[float, float] = (10.0, 30.0)
    """The lowest and the highest ratio of an utterance's power to the noise's, in decibels."""

    path: Path | None = None
    """A file that lists your own sounds and texts. None generates utterances."""

    seed: int = 0
    """The seed for drawing utterances and noise, and for splitting your own."""

    def __post_init__(self) -> None:
        for name in _SPLITS:
            self._require(name, getattr(self, name) >= 1, "at least 1")
        self._require("seed", self.seed >= 0, "at least 0")
        ordered = 1 <= self.words[0] <= self.words[1] <= 12
        self._require("words", ordered, "two numbers from 1 to 12, the lower first")
        ordered = -20 <= self.snr[0] <= self.snr[1] <= 100
        self._require("snr", ordered, "two numbers from -20 to 100, the lower first")

    def _require(self, name: str, is_valid: bool, condition: str) -> None:
        if not is_valid:
            raise ValueError(f"{name}={getattr(self, name)} must be {condition}.")

    @functools.cached_property
    def _splits(self) -> dict[str, list[Utterance]]:
        counts = {split: getattr(self, split) for split in _SPLITS}
        if self.path is None:
            return generated_utterances(counts, self.symbols, self.words, self.seed)
        path = Path(self.path)
        splits = split_at_random(
            read_utterances(path),
            "utterances",
            validation=self.validation,
            test=self.test,
            seed=self.seed,
            origin=str(path),
        )
        return splits | {"train": splits["train"][: self.train]}

    def utterances(self, split: str) -> list[Utterance]:
        """Return the utterances of a split.

        Raises:
            ValueError: If there is no such split.
        """
        if split not in _SPLITS:
            raise ValueError(f"split={split!r} is not one of {', '.join(_SPLITS)}.")
        return self._splits[split]

    @functools.cached_property
    def tokenizer(self) -> VocabularyTokenizer:
        """The words of generated utterances, or of your own training utterances."""
        if self.path is None:
            return train_vocabulary([SYMBOLS[self.symbols]], "words", 100)
        return train_vocabulary([each.words for each in self.utterances("train")], "words", 10_000)

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of a model that depend on the data."""
        return {"vocabulary": self.tokenizer.size}

    @functools.cached_property
    def most_words(self) -> int:
        """The most words of an utterance."""
        if self.path is None:
            return self.words[1]
        return max(len(each.words) for split in self._splits.values() for each in split)

    @functools.cached_property
    def _loaded(self) -> dict[str, list[dict[str, np.ndarray]]]:
        lengths = np.array([len(u.sound) for split in self._splits.values() for u in split])
        steps = np.ceil(np.quantile(lengths, _BUCKETS) / _STEP)
        edges = np.unique(steps.astype(int)) * _STEP
        loaded = {}
        for number, (split, utterances) in enumerate(self._splits.items()):
            rng = np.random.default_rng([self.seed, 100 + number])
            snr = rng.uniform(*self.snr, len(utterances)).astype(np.float32)
            noise = rng.integers(2**31, size=len(utterances)).astype(np.uint32)
            place = np.searchsorted(edges, [len(each.sound) for each in utterances])
            loaded[split] = [
                self._bucket(utterances, rows, int(edge))
                | {"snr": snr[rows], "noise": noise[rows], "row": rows.astype(np.int32)}
                for number, edge in enumerate(edges)
                if len(rows := np.flatnonzero(place == number))
            ]
        return loaded

    def load(self) -> dict[str, list[dict[str, np.ndarray]]]:
        """Speak or read the utterances.

        Returns:
            `train`, `validation` and `test`, each a list of buckets by length: `sound`, int16
            (n, samples), padded with zeros; `samples`, int32 (n,), without them; `target`, int32
            (n, t), the words and the end; `times`, float32 (n, t), the seconds at which each word
            begins and the last ends, -1 where unknown or none; `new_accent`, boolean (n,); `snr`
            in decibels and `noise`, a seed for it, (n,); and `row`, the index into
            :meth:`utterances`.

        Raises:
            FileNotFoundError: If there is no file at `path`.
            MissingPackageError: If utterances must be spoken and there is no synthesizer.
            ValueError: If a file cannot be used. The message says where, why, and the way out.
        """
        return self._loaded

    def _bucket(
        self, utterances: Sequence[Utterance], rows: np.ndarray, length: int
    ) -> dict[str, np.ndarray]:
        width = self.most_words + 1
        arrays = {
            "sound": np.zeros((len(rows), length), np.int16),
            "samples": np.array([len(utterances[row].sound) for row in rows], np.int32),
            "target": np.zeros((len(rows), width), np.int32),
            "times": np.full((len(rows), width), -1, np.float32),
            "new_accent": np.array(
                [utterances[row].voice.startswith(NEW_ACCENT) for row in rows], bool
            ),
        }
        for place, row in enumerate(rows):
            each = utterances[row]
            numbers = [*self.tokenizer.numbers(each.words), END]
            arrays["sound"][place, : len(each.sound)] = each.sound
            arrays["target"][place, : len(numbers)] = numbers
            arrays["times"][place, : len(each.times)] = each.times
        return arrays

    def prepare(
        self, batch: Mapping[str, Array | np.ndarray], rng: PRNGKeyArray | None = None
    ) -> dict[str, Array]:
        """Add noise, and compute spectrograms.

        Args:
            batch: Rows of a bucket.
            rng: The random key for new noise of a new level. None takes each utterance's own.

        Returns:
            `mel`, (n, frames, mels), and `frames`, (n,), the frames without padding, instead of
            `sound`, `samples`, `snr` and `noise`; and the rest unchanged.
        """
        arrays = {name: jnp.asarray(array) for name, array in batch.items()}
        sound = arrays.pop("sound").astype(jnp.float32) / 2**15
        samples, snr, seed = (arrays.pop(name) for name in ("samples", "snr", "noise"))
        if rng is None:
            noise = jax.vmap(lambda s: jax.random.normal(jax.random.key(s), sound.shape[1:]))(seed)
        else:
            noise_rng, snr_rng = jax.random.split(rng)
            noise = jax.random.normal(noise_rng, sound.shape)
            low, high = self.snr
            snr = jax.random.uniform(snr_rng, snr.shape, minval=low, maxval=high)
        exists = jnp.arange(sound.shape[1])[None] < samples[:, None]
        frames = -(-samples // HOP)
        mel = normalized(log_mel(add_noise(sound, exists, snr, noise)), frames)
        return {**arrays, "mel": mel, "frames": frames}

    @property
    def seconds_per_frame(self) -> float:
        """The seconds from one frame to the next."""
        return HOP / RATE

"""From sounds, and what was said in them, to what Whisper takes."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from attn_jax.pretrained.errors import PretrainedError
from attn_jax.pretrained.reading.mel import log_mel
from attn_jax.pretrained.reading.tokenizer import Tokenizer
from attn_jax.pretrained.reading.waves import read_wave, resample

Sound = str | os.PathLike[str] | ArrayLike
_MULTILINGUAL = 51_865
"""The tokens of Whisper's vocabulary that has languages; that of English alone has one less."""


@dataclasses.dataclass(frozen=True)
class SoundReader:
    """Reads sounds, and texts that were said in them, for a speech recognizer.

    Attributes:
        tokenizer: The tokenizer of the checkpoint.
        config: The content of `config.json`.
        preprocessing: The content of `preprocessor_config.json`; what it does not say is as in the
            Whisper that was published first.
        generation: The content of `generation_config.json`.
    """

    tokenizer: Tokenizer
    config: dict[str, Any]
    preprocessing: dict[str, Any]
    generation: dict[str, Any]

    def encode(
        self,
        sounds: Sequence[Sound],
        text: Sequence[str] | None = None,
        *,
        sampling_rate: int | None = None,
        language: str = "en",
        task: str = "transcribe",
    ) -> dict[str, Array]:
        """Return what the model takes, for a list of sounds.

        Args:
            sounds: Paths of WAV files, or arrays of samples between -1 and 1.
            text: What was said in each, for the decoder to read; nothing if None, so that it
                writes.
            sampling_rate: The samples of the arrays in a second.
            language: The code of the language that is spoken, for a model of several.
            task: `transcribe`, or `translate` to English, for a model of several languages.

        Returns:
            `mel`, the logarithmic mel spectrograms, `(batch, mels, frames)`, with silence at the
            end; and `decoder_tokens`, `(batch, tokens)`: the tokens that begin a transcript,
            without timestamps, and those of the text. Shorter texts are filled up on the right with
            the token that ends a text.

        Raises:
            PretrainedError: If there is no sound, an empty or damaged one, or one that is too long;
                if a text is empty or too long, or not every sound has one; or if the
                model does not know the language or the task.
            OSError: If a file cannot be read.
        """
        if isinstance(sounds, str | os.PathLike) or not len(sounds):
            raise PretrainedError(f"encode takes a list of sounds, not {sounds!r}.")
        if isinstance(text, str) or (text is not None and len(text) != len(sounds)):
            raise PretrainedError(
                f"encode takes a text for each of the {len(sounds)} sounds, not {text!r}."
            )
        rows = [self._prompt(language, task)] * len(sounds)
        if text is not None:
            rows = [row + self._tokens(i, text[i]) for i, row in enumerate(rows)]
        mel = [self._mel(i, sound, sampling_rate) for i, sound in enumerate(sounds)]
        return {
            "mel": jnp.asarray(np.stack(mel)),
            "decoder_tokens": jnp.asarray(self._filled(rows)),
        }

    @property
    def hop(self) -> float:
        """The seconds from one frame of the spectrogram to the next."""
        return self._setting("hop_length", 160) / self._rate

    @property
    def _rate(self) -> int:
        return self._setting("sampling_rate", 16_000)

    def _setting(self, name: str, default: int) -> int:
        return self.preprocessing.get(name, default)

    def _mel(self, number: int, sound: Sound, rate: int | None) -> np.ndarray:
        samples = read_sound(sound, rate, target=self._rate, name=f"sound {number}")
        seconds = self._setting("chunk_length", 30)
        room = seconds * self._rate
        if len(samples) > room:
            raise PretrainedError(
                f"sound {number} is {len(samples) / self._rate:.1f} s long, and the model hears "
                f"{seconds} s at a time; cut it where somebody pauses, and encode the parts."
            )
        return log_mel(
            np.pad(samples, (0, room - len(samples))),
            rate=self._rate,
            mels=self._setting("feature_size", self.config.get("num_mel_bins", 80)),
            window=self._setting("n_fft", 400),
            hop=self._setting("hop_length", 160),
        )

    def _prompt(self, language: str, task: str) -> list[int]:
        """Return the tokens that begin a transcript without timestamps."""
        is_multilingual = self.generation.get(
            "is_multilingual", self.config["vocab_size"] >= _MULTILINGUAL
        )
        pieces = ["<|startoftranscript|>", "<|notimestamps|>"]
        if is_multilingual:
            pieces[1:1] = [f"<|{language}|>", f"<|{task}|>"]
        elif (language, task) != ("en", "transcribe"):
            raise PretrainedError(
                f"this model transcribes English alone; it cannot {task} {language!r}."
            )
        return [self._number(piece) for piece in pieces]

    def _number(self, piece: str) -> int:
        number = self.tokenizer.number(piece)
        if number is None:
            raise PretrainedError(f"tokenizer.json has no token {piece}, so the model has none.")
        return number

    def _tokens(self, number: int, text: str) -> list[int]:
        if not text.strip():
            raise PretrainedError(f"text {number} is empty; leave out text to let the model write.")
        # Whisper was trained on texts with a blank before the first word.
        return self.tokenizer.plain(f" {text.strip()}")

    def _filled(self, rows: Sequence[Sequence[int]]) -> np.ndarray:
        length = max(map(len, rows))
        if length > self.tokenizer.limit:
            raise PretrainedError(
                f"a text has {length} tokens with those before it, and the model takes "
                f"{self.tokenizer.limit}; shorten it."
            )
        tokens = np.full((len(rows), length), self.tokenizer.pad, np.int32)
        for i, row in enumerate(rows):
            tokens[i, : len(row)] = row
        return tokens


def read_sound(
    sound: Sound, rate: int | None = None, *, target: int = 16_000, name: str = "the sound"
) -> np.ndarray:
    """Return the samples of a sound, `(samples,)` between -1 and 1, at a rate of your choice.

    Args:
        sound: The path of a WAV file, or an array of samples between -1 and 1.
        rate: The samples of an array in a second.
        target: The samples in a second to return.
        name: The name of the sound in errors.

    Raises:
        PretrainedError: If there are no samples, the file is damaged, or the array is no sound.
        OSError: If the file cannot be read.
    """
    if isinstance(sound, str | os.PathLike):
        samples, rate = read_wave(sound)
    else:
        samples = np.asarray(sound)
        if samples.ndim != 1 or not np.issubdtype(samples.dtype, np.floating):
            raise PretrainedError(
                f"{name} is an array {samples.shape} of {samples.dtype}; expected (samples,) of "
                "floats between -1 and 1."
            )
        if rate is None or rate <= 0:
            raise PretrainedError(
                f"{name} is an array with sampling_rate={rate}; say how many samples are a second."
            )
    if not len(samples) or not np.isfinite(samples).all():
        problem = "has samples that are not finite" if len(samples) else "is empty"
        raise PretrainedError(f"{name} {problem}.")
    return resample(samples, rate, target)

"""A speech synthesizer, run as a process of its own."""

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple

import numpy as np

from attn_jax._extras import require
from attn_jax.tasks.speech.utterance import RATE

__all__ = ["Speaker", "Spoken"]

_PROGRAM = Path(__file__).with_name("espeak.py")


class Spoken(NamedTuple):
    """What the synthesizer said.

    Attributes:
        sound: The samples, int16, `RATE` of them a second.
        times: The seconds at which each word begins, and at which the last one ends.
    """

    sound: np.ndarray
    times: tuple[float, ...]


class Speaker:
    """eSpeak NG, in a process that ends with the `with` block.

    Example:
        >>> with Speaker() as speaker:  # doctest: +SKIP
        ...     spoken = speaker.speak("three seven", voice="en-us+f2", rate=160, pitch=50)

    Raises:
        MissingPackageError: If the package `espeakng-loader` is not installed.
    """

    def __init__(self) -> None:
        require("espeakng_loader", extra="speech")
        # Isolated from the caller's folder and variables, like any tool.
        command = [sys.executable, "-I", str(_PROGRAM)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
        self._rate = self._answer("the start")["rate"]

    def __enter__(self) -> "Speaker":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def speak(self, text: str, *, voice: str, rate: int, pitch: int) -> Spoken:
        """Speak a text.

        Args:
            text: The text.
            voice: A language of eSpeak NG, and perhaps a variant: `en-us+f2`.
            rate: The words of a minute.
            pitch: From 0 to 99.

        Raises:
            ValueError: If there is no such voice, or not one time for every word.
            RuntimeError: If the synthesizer crashed.
        """
        request = {"text": text, "voice": voice, "rate": rate, "pitch": pitch}
        label = f"{text!r} in the voice {voice}"
        stdin, stdout = self._pipes()
        try:
            stdin.write(json.dumps(request).encode() + b"\n")
            stdin.flush()
        except BrokenPipeError:
            pass  # The answer, which does not come, says why.
        answer = self._answer(label)
        if "error" in answer:
            raise ValueError(f"{answer['error']}; choose another.")
        content = stdout.read(2 * answer["samples"])
        if len(answer["words"]) != len(text.split()) or not content.strip(b"\0"):
            raise ValueError(
                f"eSpeak NG gave {len(answer['words'])} times and {len(content) // 2} samples for "
                f"{label}; leave the voice out."
            )
        return _spoken(np.frombuffer(content, "<i2"), self._rate, answer["words"])

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the speech synthesizer was started without pipes.")
        return stdin, stdout

    def _answer(self, label: str) -> dict:
        line = self._pipes()[1].readline()
        if not line:
            _, errors = self._process.communicate()
            words = errors.decode(errors="replace").strip().splitlines()[-1:]
            raise RuntimeError(
                f"the speech synthesizer ended with code {self._process.returncode} at {label}"
                f"{': ' if words else '.'}{''.join(words)}"
            )
        return json.loads(line)


def _spoken(samples: np.ndarray, rate: int, milliseconds: list[int]) -> Spoken:
    """Resample, without the silence at the end."""
    from scipy.signal import resample_poly

    last = int(np.flatnonzero(np.abs(samples) > np.abs(samples).max() / 100)[-1]) + 1
    sound = resample_poly(samples[:last].astype(np.float64), RATE, rate)
    clipped = np.clip(np.rint(sound), -(2**15), 2**15 - 1).astype(np.int16)
    return Spoken(clipped, (*(begin / 1000 for begin in milliseconds), last / rate))

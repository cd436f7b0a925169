"""The reader of a user's own sounds and transcripts."""

import contextlib
import itertools
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from attn_jax.tasks.own_tables import lower_words, read_table
from attn_jax.tasks.speech.utterance import RATE, Utterance

__all__ = ["read_utterances", "read_wav"]

_LONGEST = 20
_SHORTEST_WORD = 0.08


def read_utterances(path: Path) -> list[Utterance]:
    """Read a file of tab-separated columns `file`, `text` and perhaps `times`.

    Args:
        path: The file, whose first line names the columns. `file` is a WAV file, sought from the
            folder of the table; `text` is what is said; and `times` are the seconds at which each
            word begins and at which the last one ends, separated by blanks.

    Returns:
        The utterances, their words in lower case without punctuation.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line or a sound does not fit, with the line, the fault and the way out.
    """
    rows = read_table(path, ("file", "text"), "times")
    return [_read(cells, path.parent, where) for where, cells in rows]


def _read(cells: Mapping[str, str], folder: Path, where: str) -> Utterance:
    words = tuple(w for w in lower_words(cells["text"]) if any(map(str.isalnum, w)))
    if not words:
        raise ValueError(f"{where}: the text {cells['text']!r} has no word; write what is said.")
    sound = read_wav(folder / cells["file"].strip(), where)
    seconds = len(sound) / RATE
    if seconds < len(words) * _SHORTEST_WORD:
        raise ValueError(
            f"{where}: {len(words)} words in {seconds:.2f} s of sound; is it the right file?"
        )
    return Utterance(sound, words, _times(cells.get("times", ""), len(words), seconds, where))


def _times(cell: str, words: int, seconds: float, where: str) -> tuple[float, ...]:
    if not cell.strip():
        return ()
    times: list[float] = []
    with contextlib.suppress(ValueError):
        times = list(map(float, cell.split()))
    ordered = all(first < second for first, second in itertools.pairwise(times))
    if len(times) != words + 1 or not ordered or times[0] < 0 or times[-1] > seconds + 0.01:
        raise ValueError(
            f"{where}: the times {cell!r} are not {words + 1} rising numbers from 0 to "
            f"{seconds:.2f}; write the second at which each of the {words} words begins, and that "
            "at which the last ends, or leave the cell empty."
        )
    return tuple(times)


def read_wav(path: Path, where: str) -> np.ndarray:
    """Read a WAV file as samples, int16, `RATE` a second; several channels become one.

    Args:
        path: The file.
        where: Where it is named, for errors.

    Raises:
        ValueError: If it is missing, no WAV file, empty, silent, or longer than 20 s.
    """
    from scipy.io import wavfile
    from scipy.signal import resample_poly

    if not path.is_file():
        raise ValueError(f"{where}: there is no file {path}; correct the name or delete the line.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)
            rate, samples = wavfile.read(path)
    except Exception as error:  # Damage raises errors of struct and scipy of many kinds.
        raise ValueError(
            f"{where}: {path} cannot be read ({error}); save it as WAV, 16 bits a sample."
        ) from error
    sound = _scaled(samples)
    if sound.ndim > 1:
        sound = sound.mean(1)
    if not np.isfinite(sound).all() or not sound.any():
        raise ValueError(f"{where}: {path} is empty, silent or has samples that are no numbers.")
    if len(sound) > _LONGEST * rate:
        raise ValueError(
            f"{where}: {path} is {len(sound) / rate:.1f} s long; cut it into parts of at most "
            f"{_LONGEST} s, each with its text."
        )
    common = np.gcd(rate, RATE)
    sound = resample_poly(sound, RATE // common, rate // common)
    return np.clip(np.rint(sound * 2**15), -(2**15), 2**15 - 1).astype(np.int16)


def _scaled(samples: np.ndarray) -> np.ndarray:
    """Return samples between -1 and 1; scipy's are as the file has them."""
    if samples.dtype == np.uint8:
        return samples / 128.0 - 1
    if np.issubdtype(samples.dtype, np.integer):
        return samples / -float(np.iinfo(samples.dtype).min)
    return samples.astype(np.float64)

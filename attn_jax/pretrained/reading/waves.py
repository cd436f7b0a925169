"""Sounds from WAV files and arrays, as samples between -1 and 1 at the rate of a model."""

import math
import os
import wave
from pathlib import Path

import numpy as np

from attn_jax.pretrained.errors import PretrainedError

_CONVERT = "save it as WAV of 16-bit integers, for example by ffmpeg -i {0} -c:a pcm_s16le out.wav."


def read_wave(path: str | os.PathLike[str]) -> tuple[np.ndarray, int]:
    """Read a WAV file of integers.

    Args:
        path: The file; several channels are averaged.

    Returns:
        The samples, `(samples,)` between -1 and 1 in float32, and their number in a second.

    Raises:
        PretrainedError: If the file is no such sound, or is cut short.
        OSError: If there is no such file, or it cannot be read.
    """
    path = Path(path)
    try:
        with path.open("rb") as file, wave.open(file) as sound:
            channels, width, rate, count, *_ = sound.getparams()
            content = sound.readframes(count)
    except (wave.Error, EOFError) as error:
        reason = str(error) or "it ends too early"
        raise PretrainedError(
            f"{path} is no WAV file of integers ({reason}); {_CONVERT.format(path)}"
        ) from error
    if width > 4 or not rate:
        raise PretrainedError(
            f"{path} has samples of {8 * width} bits, {rate} a second; {_CONVERT.format(path)}"
        )
    if len(content) != count * width * channels:
        raise PretrainedError(
            f"{path} is cut short: its header says {count} samples, and "
            f"{len(content) // (width * channels)} are there; {_CONVERT.format(path)}"
        )
    return _integers(content, width).reshape(-1, channels).mean(1, dtype=np.float32), rate


def _integers(content: bytes, width: int) -> np.ndarray:
    """Return little-endian integers of 1 to 4 bytes as numbers between -1 and 1."""
    if width == 1:  # the only unsigned one
        return (np.frombuffer(content, np.uint8).astype(np.float32) - 128) / 128
    bytes_ = np.frombuffer(content, np.uint8).reshape(-1, width)
    # As the highest bytes of 32-bit integers, so that the sign comes by itself.
    wide = np.zeros((len(bytes_), 4), np.uint8)
    wide[:, 4 - width :] = bytes_
    return (wide.view("<i4")[:, 0] / 2.0**31).astype(np.float32)


def resample(samples: np.ndarray, rate: int, target: int) -> np.ndarray:
    """Return a sound at another rate, without what lies above half of it.

    Args:
        samples: The samples, `(samples,)`.
        rate: Their number in a second.
        target: The number in a second to return.
    """
    if rate == target:
        return samples
    from scipy import signal  # which takes a while to import

    divisor = math.gcd(rate, target)
    # In float32 the error would show in the logarithm of what is quiet.
    return signal.resample_poly(samples.astype(np.float64), target // divisor, rate // divisor)

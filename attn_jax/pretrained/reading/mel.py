"""The logarithmic mel spectrogram that Whisper hears."""

import functools

import numpy as np


def log_mel(
    samples: np.ndarray, *, rate: int = 16_000, mels: int = 80, window: int = 400, hop: int = 160
) -> np.ndarray:
    """Return the logarithmic mel spectrogram of a sound, scaled as Whisper was trained.

    The logarithm of base 10 is cut off at 8 below its maximum, then 4 is added and divided by.

    Args:
        samples: The sound, `(samples,)`.
        rate: The samples in a second.
        mels: The number of filters, spaced by the mel scale up to half the rate.
        window: The samples of a frame.
        hop: The samples from a frame to the next.

    Returns:
        `(mels, samples // hop)`, float32. Frame i is centered at sample `i * hop`.
    """
    padded = np.pad(np.asarray(samples, np.float64), window // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop][:-1]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    power = np.abs(np.fft.rfft(frames * hann)) ** 2
    log = np.log10(np.maximum(_filters(rate, mels, window) @ power.T, 1e-10))
    return ((np.maximum(log, log.max() - 8) + 4) / 4).astype(np.float32)


@functools.cache
def _filters(rate: int, mels: int, window: int) -> np.ndarray:
    """Return triangular filters of equal area, `(mels, window // 2 + 1)`."""
    edges = _hertz(np.linspace(0, _mel(rate / 2), mels + 2))
    slopes = (edges[:, None] - np.linspace(0, rate / 2, window // 2 + 1)) / rate
    widths = np.diff(edges)[:, None] / rate
    triangles = np.minimum(-slopes[:-2] / widths[:-1], slopes[2:] / widths[1:])
    return np.maximum(0, triangles) * 2 / (edges[2:] - edges[:-2])[:, None]


# Slaney's scale: linear up to 1000 Hz, which are 15 mel, logarithmic above, 27 mel for each factor
# of 6.4.
_STEP = 27 / np.log(6.4)


def _mel(hertz: float) -> float:
    return 15 + _STEP * np.log(hertz / 1000) if hertz >= 1000 else 15 * hertz / 1000


def _hertz(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < 15, mel * 1000 / 15, 1000 * np.exp((np.maximum(mel, 15) - 15) / _STEP))

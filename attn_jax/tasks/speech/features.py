"""Logarithmic mel spectrograms, and noise, as functions of JAX."""

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from attn_jax.tasks.speech.utterance import RATE

__all__ = ["HOP", "MELS", "add_noise", "log_mel", "normalized"]

HOP = 160
"""The samples from one frame to the next: a hundredth of a second."""

MELS = 40
"""The bands of a spectrogram."""

_WINDOW = 400
_FLOOR = 1e-8


def add_noise(
    sound: Float[Array, "n samples"],
    exists: Bool[Array, "n samples"],
    snr: Float[Array, " n"],
    noise: Float[Array, "n samples"],
) -> Float[Array, "n samples"]:
    """Add noise to sounds.

    Args:
        sound: The samples.
        exists: True where there is a sound, and no padding.
        snr: The ratio of the sound's mean power, silences included, to the noise's, in decibels.
        noise: Samples of power one.

    Example:
        >>> sound = jnp.array([[2.0, -2.0, 0.0]])
        >>> noisy = add_noise(sound, sound != 0, jnp.array([20.0]), jnp.ones((1, 3)))
        >>> [round(float(sample), 3) for sample in noisy[0]]
        [2.2, -1.8, 0.0]
    """
    count = jnp.maximum(exists.sum(-1, keepdims=True), 1)
    power = jnp.where(exists, sound**2, 0).sum(-1, keepdims=True) / count
    scale = jnp.sqrt(power) * 10 ** (-snr[:, None] / 20)
    return jnp.where(exists, sound + scale * noise, 0)


def log_mel(sound: Float[Array, "n samples"]) -> Float[Array, "n frames mels"]:
    """Return the logarithm of the power in each mel band, every hundredth of a second.

    Frame i is centered at sample `HOP * i + HOP / 2`; its window of 25 ms is Hann's.

    Args:
        sound: The samples, `RATE` a second; as many as whole frames have.

    Returns:
        `(n, samples / HOP, MELS)`.
    """
    margin = (_WINDOW - HOP) // 2
    padded = jnp.pad(sound, ((0, 0), (margin, margin)))
    starts = np.arange(sound.shape[-1] // HOP) * HOP
    frames = padded[:, starts[:, None] + np.arange(_WINDOW)] * np.hanning(_WINDOW)[None, None]
    power = jnp.abs(jnp.fft.rfft(frames.astype(jnp.float32))) ** 2
    return jnp.log(power @ jnp.asarray(_filters()) + _FLOOR)


def normalized(
    mel: Float[Array, "n frames mels"], frames: Int[Array, " n"]
) -> Float[Array, "n frames mels"]:
    """Give every band of a sound the mean zero, and all of them together the deviation one.

    Args:
        mel: Spectrograms.
        frames: The number of frames of each; those after them are zero in the result.
    """
    exists = (jnp.arange(mel.shape[1])[None] < frames[:, None])[..., None]
    count = jnp.maximum(frames, 1)[:, None, None]
    centered = jnp.where(exists, mel - jnp.where(exists, mel, 0).sum(1, keepdims=True) / count, 0)
    variance = (centered**2).sum((1, 2), keepdims=True) / (count * mel.shape[-1])
    return centered / jnp.sqrt(variance + _FLOOR)


@functools.cache
def _filters() -> np.ndarray:
    """Return triangular filters, evenly spaced on the mel scale, `(frequencies, MELS)`."""
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, MELS + 2) / 2595) - 1)
    frequency = np.linspace(0, RATE / 2, _WINDOW // 2 + 1)[:, None]
    rising = (frequency - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - frequency) / np.diff(edges)[1:]
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)

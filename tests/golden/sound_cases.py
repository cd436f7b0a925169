"""A sound whose spectrogram transformers computed, by a formula."""

import numpy as np

RATE = 16_000
MELS = [80, 128]
FRAMES = slice(None, None, 7)
"""The frames that the golden file keeps."""


def rising_tone():
    """Return 0.7 s of a tone that rises from 100 to 7000 Hz, with an overtone and silence."""
    time = np.arange(int(0.7 * RATE)) / RATE
    phase = 2 * np.pi * (100 * time + 6900 * time**2 / 1.4)
    return (0.5 * np.sin(phase) + 0.1 * np.sin(1.5 * phase)).astype(np.float32)

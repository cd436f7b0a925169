"""Spectrograms against those of transformers' WhisperFeatureExtractor."""

from pathlib import Path

import numpy as np
import pytest
from sound_cases import FRAMES, MELS, RATE, rising_tone

from attn_jax.pretrained.reading.mel import log_mel


@pytest.mark.parametrize("mels", MELS)
def test_a_spectrogram_is_that_of_transformers(mels):
    expected = np.load(Path(__file__).parent / "sounds.npz")[f"mel_{mels}"]
    second = np.pad(rising_tone(), (0, RATE - len(rising_tone())))
    # transformers computes in float32, which alone makes it differ by up to 4e-5.
    np.testing.assert_allclose(log_mel(second, mels=mels)[:, FRAMES], expected, rtol=0, atol=1e-4)

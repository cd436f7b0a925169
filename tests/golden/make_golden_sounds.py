"""Write the golden file of spectrograms; `make golden` runs it beside its peers."""

from pathlib import Path

import numpy as np
import transformers
from sound_cases import FRAMES, MELS, RATE, rising_tone


def spectrogram(mels):
    extract = transformers.WhisperFeatureExtractor(feature_size=mels, chunk_length=1)
    features = extract(rising_tone(), sampling_rate=RATE, return_tensors="np")
    return features.input_features[0, :, FRAMES]


if __name__ == "__main__":
    np.savez_compressed(
        Path(__file__).parent / "sounds.npz",
        versions=[f"transformers {transformers.__version__}"],
        **{f"mel_{mels}": spectrogram(mels) for mels in MELS},
    )

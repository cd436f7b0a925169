"""The tiny speech recognizer: its configuration and inputs."""

import numpy as np

_WHISPER = {
    "vocab_size": 50,
    "num_mel_bins": 5,
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "activation_function": "gelu",
    "max_source_positions": 11,
    "max_target_positions": 20,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 3,
    "begin_suppress_tokens": None,
}

SETTINGS = {"whisper": ("WhisperForConditionalGeneration", _WHISPER)}
"""The class of transformers and the configuration of each."""


def sounds(rng, config, batch=2, tokens=7):
    """Return spectrograms, and the tokens written so far."""
    frames = 2 * config["max_source_positions"]
    mel = rng.normal(size=(batch, config["num_mel_bins"], frames)).astype(np.float32)
    numbers = rng.integers(2, config["vocab_size"], (batch, tokens)).astype(np.int32)
    return {"mel": mel, "decoder_tokens": numbers}


def random_sizes(rng):
    """Return other sizes for the settings of this configuration."""
    heads, decoder_heads = 2 ** rng.integers(0, 3, 2)
    features = int(rng.choice([8, 16, 24]))
    return {
        "num_mel_bins": int(rng.integers(2, 9)),
        "max_source_positions": int(rng.integers(5, 14)),
        "d_model": features,
        "encoder_layers": int(rng.integers(1, 4)),
        "decoder_layers": int(rng.integers(1, 4)),
        "encoder_attention_heads": int(heads),
        "decoder_attention_heads": int(decoder_heads),
        "encoder_ffn_dim": 3 * features,
        "decoder_ffn_dim": 2 * features,
    }

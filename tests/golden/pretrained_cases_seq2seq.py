"""Tiny random encoders with decoders: their configurations and inputs."""

import numpy as np

_BART = {
    "vocab_size": 50,
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 20,
    "max_position_embeddings": 30,
    "decoder_start_token_id": 3,
}
_MARIAN = _BART | {"pad_token_id": 49, "activation_function": "swish", "scale_embedding": True}
_OWN_VOCABULARY = {
    "share_encoder_decoder_embeddings": False,
    "decoder_vocab_size": 40,
    "pad_token_id": 39,
}
_T5 = {
    "vocab_size": 50,
    "d_model": 16,
    "d_kv": 6,
    "d_ff": 24,
    "num_layers": 1,
    "num_decoder_layers": 2,
    "num_heads": 4,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 6,
    "decoder_start_token_id": 0,
}

SETTINGS = {
    "bart": ("BartForConditionalGeneration", _BART),
    "mbart": ("MBartForConditionalGeneration", _BART | {"scale_embedding": True}),
    "marian": ("MarianMTModel", _MARIAN),
    "marian_vocabularies": ("MarianMTModel", _MARIAN | _OWN_VOCABULARY),
    "t5": ("T5ForConditionalGeneration", _T5),
    "mt5": ("MT5ForConditionalGeneration", _T5 | {"feed_forward_proj": "gated-gelu"}),
}
"""The class of transformers and the configuration of each."""


def pairs(rng, config, batch=2, tokens=7, decoder_tokens=5):
    """Return tokens, of which the second text has fewer, and the decoder's."""
    numbers = rng.integers(2, config["vocab_size"], (batch, tokens)).astype(np.int32)
    exists = np.ones((batch, tokens), bool)
    exists[1, -2:] = False
    size = config.get("decoder_vocab_size") or config["vocab_size"]
    written = rng.integers(2, size, (batch, decoder_tokens)).astype(np.int32)
    return {"tokens": numbers, "key_mask": exists, "decoder_tokens": written}


def random_sizes(rng):
    """Return other sizes for the settings of these configurations."""
    heads, decoder_heads = 2 ** rng.integers(0, 3, 2)
    features = int(rng.choice([8, 16, 24]))
    return {
        "d_model": features,
        "encoder_layers": int(rng.integers(1, 4)),
        "decoder_layers": int(rng.integers(1, 4)),
        "encoder_attention_heads": int(heads),
        "decoder_attention_heads": int(decoder_heads),
        "encoder_ffn_dim": 3 * features,
        "decoder_ffn_dim": 2 * features,
        "d_kv": int(rng.integers(1, 9)),
        "d_ff": 3 * features,
        "num_layers": int(rng.integers(1, 4)),
        "num_decoder_layers": int(rng.integers(1, 4)),
        "num_heads": int(heads),
    }

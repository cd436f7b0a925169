"""Tiny random checkpoints of each family: their configurations and inputs."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pretrained_cases_decoders as decoders
import pretrained_cases_images
import pretrained_cases_seq2seq as seq2seq
import pretrained_cases_speech as speech

_BERT = {
    "vocab_size": 50,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
}
_DISTILBERT = {
    "vocab_size": 50,
    "dim": 32,
    "n_layers": 2,
    "n_heads": 4,
    "hidden_dim": 64,
    "max_position_embeddings": 40,
}
_LLAMA = {
    "vocab_size": 50,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
}
_GPT2 = {
    "vocab_size": 50,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_inner": 48,
    "n_positions": 40,
}
_WINDOW = {"sliding_window": 3, "use_sliding_window": True, "max_window_layers": 1}


def texts(rng, config, batch=2, tokens=7):
    """Return tokens, and which exist: the second text is shorter."""
    numbers = rng.integers(2, config["vocab_size"], (batch, tokens)).astype(np.int32)
    exists = np.ones((batch, tokens), bool)
    exists[1, -2:] = False
    return {"tokens": np.where(exists, numbers, 1), "key_mask": exists}


class Case(NamedTuple):
    """A family: the class of transformers, a small configuration, and the model's arguments."""

    peer: str
    config: dict
    inputs: Callable = texts


CASES = {
    "bert": Case("BertModel", _BERT),
    "roberta": Case("RobertaModel", _BERT | {"pad_token_id": 1, "type_vocab_size": 1}),
    "distilbert": Case("DistilBertModel", _DISTILBERT),
    "gpt2": Case("GPT2LMHeadModel", _GPT2),
    "llama": Case("LlamaForCausalLM", _LLAMA | {"tie_word_embeddings": True}),
    "mistral": Case("MistralForCausalLM", _LLAMA | {"sliding_window": 3, "head_dim": 6}),
    "qwen2": Case("Qwen2ForCausalLM", _LLAMA | _WINDOW),
    "qwen3": Case("Qwen3ForCausalLM", _LLAMA | {"head_dim": 6, "attention_bias": True}),
    **{name: Case(*case) for name, case in decoders.CASES.items()},
    **{name: Case(*case) for name, case in pretrained_cases_images.CASES.items()},
    **{name: Case(*case, speech.sounds) for name, case in speech.SETTINGS.items()},
    **{name: Case(*case, seq2seq.pairs) for name, case in seq2seq.SETTINGS.items()},
}
"""The families by name, each with a golden file."""


def random_config(name, rng):
    """Return a configuration of the same family with other sizes."""
    key_heads = int(rng.integers(1, 5))
    heads = key_heads * int(rng.integers(1, 3))
    features, layers = heads * int(rng.choice([4, 8])), int(rng.integers(1, 4))
    config = CASES[name].config
    sizes = {
        **dict.fromkeys(("hidden_size", "dim", "n_embd"), features),
        **dict.fromkeys(("num_hidden_layers", "n_layers", "n_layer"), layers),
        **dict.fromkeys(("num_attention_heads", "n_heads", "n_head"), heads),
        "num_key_value_heads": key_heads,
        **dict.fromkeys(("intermediate_size", "hidden_dim", "n_inner"), 3 * features),
        "image_size": 4 * int(rng.integers(2, 6)),
        **speech.random_sizes(rng),
        **seq2seq.random_sizes(rng),
    }
    return _resized(config, sizes)


def _resized(config, sizes):
    return {
        key: _resized(value, sizes) if isinstance(value, dict) else sizes.get(key, value)
        for key, value in config.items()
    }

"""The models that the benchmark `pretrained` times beside their peers."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

SMOLLM2 = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "rope_theta": 100_000.0,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
}
GPT2 = {
    "model_type": "gpt2",
    "architectures": ["GPT2LMHeadModel"],
    "vocab_size": 50257,
    "n_embd": 768,
    "n_layer": 12,
    "n_head": 12,
    "n_positions": 1024,
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
}

_NORM = {"denominator": "hook_scale", "normalized": "hook_normalized", "output": "hook_out"}
_LAYER = {
    "residual": "hook_resid_pre",
    "attention.query": "attn.hook_q",
    "attention.key": "attn.hook_k",
    "attention.value": "attn.hook_v",
    "attention.scores": "attn.hook_attn_scores",
    "attention.weights": "attn.hook_pattern",
    "attention.context": "attn.hook_z",
    "attention.output": "hook_attn_out",
    "residual_mid": "hook_resid_mid",
    "mlp_in": "mlp.hook_pre",
    "mlp_hidden": "mlp.hook_post",
    "mlp": "hook_mlp_out",
    "residual_out": "hook_resid_post",
    **{f"attention_norm.{ours}": f"ln1.{theirs}" for ours, theirs in _NORM.items()},
    **{f"mlp_norm.{ours}": f"ln2.{theirs}" for ours, theirs in _NORM.items()},
}
LENS_NAMES = {
    "token_embedding": "hook_embed",
    "position_embedding": "hook_pos_embed",
    **{f"layers.{i}.{k}": f"blocks.{i}.{v}" for i in range(12) for k, v in _LAYER.items()},
    **{f"norm.{ours}": f"ln_final.{theirs}" for ours, theirs in _NORM.items()},
}
"""Every value of GPT-2 that TransformerLens keeps, by our name; it keeps many under several."""


@dataclasses.dataclass(frozen=True)
class Timed:
    """A model, and what is timed of it.

    Attributes:
        title: Its name on the page.
        peer: What it is compared with: `encoder`, `decoder` or `lens`.
        shape: The texts and the tokens of each.
        limits: The largest ratio to the peer's time of each run.
        config: The configuration of random weights; those of a checkpoint if None.
    """

    title: str
    peer: str
    shape: tuple[int, int]
    limits: Mapping[str, float]
    config: Mapping[str, Any] | None = None

    @property
    def tokens(self) -> np.ndarray:
        """Random tokens, the same for both sides."""
        return np.random.default_rng(0).integers(1000, 20000, self.shape).astype(np.int32)


MINILM_RUNS = Timed("MiniLM", "encoder", (8, 128), {"forward": 0.6, "with all weights": 0.65})
SMOLLM2_RUNS = Timed(
    "SmolLM2", "decoder", (1, 512), {"forward": 0.9, "with all weights": 0.9}, SMOLLM2
)
GPT2_RUNS = Timed("GPT-2", "lens", (1, 128), {"with all that TransformerLens keeps": 1 / 1.8}, GPT2)


def write_config(config: Mapping[str, Any], folder: Path) -> None:
    """Write what a checkpoint needs beside weights; its tokenizer knows one word."""
    from tokenizers import Tokenizer, models

    (folder / "config.json").write_text(json.dumps(dict(config)), encoding="utf-8")
    Tokenizer(models.WordLevel({"a": 0}, unk_token="a")).save(str(folder / "tokenizer.json"))

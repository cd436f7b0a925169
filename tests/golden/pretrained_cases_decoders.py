"""Tiny Gemma checkpoints, whose layers have a window or not in turn."""

_GEMMA = {
    "vocab_size": 50,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 6,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "query_pre_attn_scalar": 12,
    "sliding_window": 3,
}
_ROTARY = {
    "sliding_attention": {"rope_type": "default", "rope_theta": 1e3},
    "full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e6},
}
CASES = {
    "gemma2": (
        "Gemma2ForCausalLM",
        _GEMMA | {"attn_logit_softcapping": 1.5, "final_logit_softcapping": 4.0},
    ),
    "gemma3": (
        "Gemma3ForCausalLM",
        _GEMMA | {"sliding_window_pattern": 2, "rope_parameters": _ROTARY},
    ),
}
"""The class of transformers and the configuration, by the name of the golden file."""

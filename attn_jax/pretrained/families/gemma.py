"""Gemma 2 and Gemma 3, of texts: the Llama line with more norms, soft caps and sliding windows."""

from typing import Any

from flax import linen as nn
from jaxtyping import Array, Bool, Float

from attn_jax.hooks import tap
from attn_jax.pretrained.errors import PretrainedError
from attn_jax.pretrained.families.family import Config, Family, setting
from attn_jax.pretrained.families.llama import TABLE, Llama, LlamaLayer, rotary
from attn_jax.pretrained.families.norms import RMSNorm
from attn_jax.pretrained.families.parts import activation
from attn_jax.pretrained.reading.convert import Table


class GemmaLayer(LlamaLayer):
    """One layer: attention and a gated feed-forward network, normalized before and after.

    The hook points `attention.output` and `mlp` lie before the second norm, so what a part adds to
    the residual stream is `residual_mid - residual` and `residual_out - residual_mid`. The
    attributes are those of :class:`LlamaLayer`.
    """

    @nn.compact
    def __call__(
        self, x: Float[Array, "*b t f"], key_mask: Bool[Array, "*b t"] | None = None
    ) -> Float[Array, "*b t f"]:
        """Apply the layer to `(*b, tokens, features)`."""
        x = tap("residual", x)
        attended = self._attention()(self._norm("attention_norm", x), key_mask=key_mask)
        x = tap("residual_mid", x + self._norm("attention_out_norm", attended))
        hidden = self._feed_forward(self._norm("mlp_norm", x))
        return tap("residual_out", x + self._norm("mlp_out_norm", hidden))

    def _norm(self, name: str, x: Array) -> Array:
        return RMSNorm(self.epsilon, name=name)(x)


def _from_config(config: Config) -> Llama:
    for name in _REFUSED[config["model_type"]]:
        if config.get(name):
            raise PretrainedError(f"config.json says {name} = {config[name]}; it must be unset.")
    features = setting(config, "hidden_size")
    layer = GemmaLayer(
        num_heads=setting(config, "num_attention_heads"),
        num_key_value_heads=setting(config, "num_key_value_heads", default=4),
        head_dim=setting(config, "head_dim", default=256),
        mlp_dim=setting(config, "intermediate_size"),
        # Gemma 2 was published with a second, unused setting `hidden_act`.
        activation=activation(setting(config, "hidden_activation", default="gelu_pytorch_tanh")),
        qkv_bias=bool(config.get("attention_bias")),
        out_bias=bool(config.get("attention_bias")),
        normalizes_heads=config["model_type"] == "gemma3_text",
        scale=setting(config, "query_pre_attn_scalar", default=256) ** -0.5,
        softcap=_softcap(config, "attn_logit_softcapping", 50.0),
        epsilon=setting(config, "rms_norm_eps", default=1e-6),
    )
    return Llama(
        vocabulary=setting(config, "vocab_size"),
        features=features,
        stack=tuple(layer.clone(**kind) for kind in _kinds(config)),
        epsilon=layer.epsilon,
        has_head=not config.get("tie_word_embeddings", True),
        embedding_scale=features**0.5,
        logits_softcap=_softcap(config, "final_logit_softcapping", 30.0),
    )


_REFUSED = {
    "gemma2": ("use_bidirectional_attention",),
    # transformers reads it in Gemma 2 alone.
    "gemma3_text": ("use_bidirectional_attention", "attn_logit_softcapping"),
}


def _softcap(config: Config, name: str, default: float) -> float | None:
    """Return a bound, of which null says that there is none."""
    return config.get(name, default if config["model_type"] == "gemma2" else None)


def _kinds(config: Config) -> list[dict[str, Any]]:
    """Return the window and the rotary positions of each layer."""
    count = setting(config, "num_hidden_layers")
    every = 2 if config["model_type"] == "gemma2" else config.get("sliding_window_pattern", 6)
    default = [("sliding" if i % every else "full") + "_attention" for i in range(1, count + 1)]
    kinds: dict[str, Any] = {
        name: rotary(_rotary_config(config, name))
        for name in ("sliding_attention", "full_attention")
    }
    kinds["sliding_attention"]["window"] = setting(config, "sliding_window", default=4096)
    names = config.get("layer_types") or default
    if not set(names) <= set(kinds):
        raise PretrainedError(
            f"config.json has layers of the kinds {', '.join(sorted(set(names)))}; known are "
            f"{' and '.join(kinds)}."
        )
    return [kinds[name] for name in names]


def _rotary_config(config: Config, kind: str) -> Config:
    """Return what says how one kind of layer rotates: in Gemma 3, both have their own base."""
    if config["model_type"] == "gemma2":
        return config
    both = config.get("rope_parameters") or {}
    if both.get(kind):
        return {"rope_parameters": both[kind]}
    if kind == "sliding_attention":
        return {"rope_theta": config.get("rope_local_base_freq", 10_000.0)}
    return {"rope_theta": 1e6} | config


def _synonyms(config: Config) -> dict[str, tuple[str, ...]]:
    if config.get("tie_word_embeddings", True):
        return {"embed_tokens.weight": ("lm_head.weight",)}
    return {}


_NORMS = {
    "layers.*.self_attn.q_norm": "layers_*/attention/transform/query_scale",
    "layers.*.self_attn.k_norm": "layers_*/attention/transform/key_scale",
    "layers.*.input_layernorm": "layers_*/attention_norm/scale",
    "layers.*.post_attention_layernorm": "layers_*/attention_out_norm/scale",
    "layers.*.pre_feedforward_layernorm": "layers_*/mlp_norm/scale",
    "layers.*.post_feedforward_layernorm": "layers_*/mlp_out_norm/scale",
    "norm": "norm/scale",
}
_TABLE: Table = {
    **TABLE,
    **{f"{k}.weight": (v, "plus_one") for k, v in _NORMS.items()},
}

GEMMA2, GEMMA3 = (
    Family(model_type, _from_config, _TABLE, "model.", synonyms=_synonyms)
    for model_type in ("gemma2", "gemma3_text")
)

"""The Llama line: Llama, SmolLM, Mistral, Qwen 2 and Qwen 3, which predict the next token."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Bool, Float, Int

from attn_jax import ops
from attn_jax.hooks import tap
from attn_jax.nn import QueryKeyNorm, Rotary
from attn_jax.pretrained.errors import PretrainedError
from attn_jax.pretrained.families.caching import CachedAttention, empty_self_attention
from attn_jax.pretrained.families.family import Config, Family, setting
from attn_jax.pretrained.families.layers import layers_cache, run_layers
from attn_jax.pretrained.families.norms import RMSNorm
from attn_jax.pretrained.families.parts import activation, at_positions
from attn_jax.pretrained.reading.convert import Table


class LlamaAttention(CachedAttention):
    """Attention whose output projection has a bias, or none, whatever the others have.

    Attributes:
        out_bias: Whether the output projection has a bias; `use_bias` is that of the others.
        scale: Multiplies the inner products; one over the root of `head_dim` if None.
        softcap: The bound of the scaled products, if there is one.
    """

    out_bias: bool = False
    scale: float | None = None
    softcap: float | None = None

    def dense(
        self, features: int | tuple[int, ...], like: Array, *, name: str, axis: int | tuple = -1
    ) -> nn.DenseGeneral:
        """Create one of the projections."""
        use_bias = self.out_bias if name == "out" else self.use_bias
        dtype = jnp.dtype(self.dtype or like.dtype)
        return nn.DenseGeneral(features, axis=axis, use_bias=use_bias, dtype=dtype, name=name)

    def structure(self, heads: ops.Inputs) -> dict[str, Any]:
        """Return what the fused call is to know, with the scale and the bound of the scores."""
        return super().structure(heads) | {"scale": self.scale, "softcap": self.softcap}


class LlamaLayer(nn.Module):
    """One layer: attention and a gated feed-forward network, each of normalized states and added.

    Attributes:
        num_heads: The query heads.
        num_key_value_heads: The key and value heads.
        head_dim: The features of a head.
        mlp_dim: The features inside the feed-forward network.
        activation: The activation of its gate.
        mlp_bias: Whether it has biases.
        qkv_bias: Whether the projections of query, key and value have biases.
        out_bias: Whether that of the output has.
        normalizes_heads: Whether each head of query and key is normalized.
        rotary_base: The base of the rotary positions.
        rotary_factor: Divides the positions.
        scale: Multiplies the inner products; one over the root of `head_dim` if None.
        softcap: The bound of the scaled products, if there is one.
        window: The number of keys that a query may attend to, itself included; all if None.
        epsilon: Added to mean squares.
    """

    num_heads: int
    num_key_value_heads: int
    head_dim: int
    mlp_dim: int
    activation: Callable[[Array], Array] = nn.silu
    mlp_bias: bool = False
    qkv_bias: bool = False
    out_bias: bool = False
    normalizes_heads: bool = False
    rotary_base: float = 10_000.0
    rotary_factor: float = 1.0
    scale: float | None = None
    softcap: float | None = None
    window: int | None = None
    epsilon: float = 1e-6

    @nn.compact
    def __call__(
        self, x: Float[Array, "*b t f"], key_mask: Bool[Array, "*b t"] | None = None
    ) -> Float[Array, "*b t f"]:
        """Apply the layer to `(*b, tokens, features)`."""
        x = tap("residual", x)
        normalized = RMSNorm(self.epsilon, name="attention_norm")(x)
        x = tap("residual_mid", x + self._attention()(normalized, key_mask=key_mask))
        normalized = RMSNorm(self.epsilon, name="mlp_norm")(x)
        return tap("residual_out", x + self._feed_forward(normalized))

    def _feed_forward(self, x: Array) -> Array:
        gate = self.activation(self._dense(self.mlp_dim, "mlp_gate")(x))
        hidden = tap("mlp_hidden", gate * self._dense(self.mlp_dim, "mlp_in")(x))
        return tap("mlp", self._dense(x.shape[-1], "mlp_out")(hidden))

    def _dense(self, features: int, name: str) -> nn.Dense:
        return nn.Dense(features, use_bias=self.mlp_bias, name=name)

    def _attention(self) -> LlamaAttention:
        # Without a parent here, the attention adopts its transform, and names its parameters.
        transform = Rotary(self.rotary_base, factor=self.rotary_factor, parent=None)
        if self.normalizes_heads:
            transform = QueryKeyNorm(self.epsilon, then=transform, parent=None)
        return LlamaAttention(
            self.num_heads,
            head_dim=self.head_dim,
            num_key_value_heads=self.num_key_value_heads,
            use_bias=self.qkv_bias,
            out_bias=self.out_bias,
            transform=transform,
            scale=self.scale,
            softcap=self.softcap,
            causal=True,
            window=None if self.window is None else (self.window - 1, 0),
            name="attention",
        )


class Llama(nn.Module):
    """A language model of the Llama line.

    Hook points beside those of attention (`layers.3.attention.weights`) and of the norms
    (:class:`RMSNorm`): `embedding`, in each layer `residual` (what enters it), `residual_mid`
    (after attention), `mlp_hidden` (gated), `mlp` and `residual_out`, and `logits`.

    Attributes:
        vocabulary: The number of tokens.
        features: The features of a token.
        stack: The layers, from the first to the last.
        epsilon: Added to mean squares.
        has_head: Whether the logits have a matrix of their own, not that of the embedding.
        embedding_scale: Multiplies the embeddings.
        logits_softcap: The bound of the logits, if there is one.
        scan: Whether the layers run as one scan over stacked parameters.

    References:
        Touvron et al., "LLaMA", 2023. https://arxiv.org/abs/2302.13971
        Jiang et al., "Mistral 7B", 2023. https://arxiv.org/abs/2310.06825
        Yang et al., "Qwen3 Technical Report", 2025. https://arxiv.org/abs/2505.09388
    """

    vocabulary: int
    features: int
    stack: tuple[LlamaLayer, ...]
    epsilon: float = 1e-6
    has_head: bool = True
    embedding_scale: float = 1.0
    logits_softcap: float | None = None
    scan: bool = False

    @nn.compact
    def __call__(
        self,
        tokens: Int[Array, "*b t"],
        key_mask: Bool[Array, "*b t"] | None = None,
        logits_at: Int[Array, "..."] | None = None,
    ) -> Float[Array, "*b p v"]:
        """Return the logits of the token after each.

        Args:
            tokens: Numbers of tokens, `(*b, tokens)`.
            key_mask: True = the token exists; all do if None.
            logits_at: The positions whose logits are computed, `(p,)` or `(*b, p)`, negative ones
                from the end; all if None.
        """
        embed = nn.Embed(self.vocabulary, self.features, name="token_embedding")
        x = tap("embedding", embed(tokens) * self.embedding_scale)
        x = run_layers(self, self.stack, x, key_mask, scan=self.scan)
        x = at_positions(x, logits_at)
        x = RMSNorm(self.epsilon, name="norm")(x)
        if self.has_head:
            logits = nn.Dense(self.vocabulary, use_bias=False, name="head")(x)
        else:
            logits = embed.attend(x)
        if self.logits_softcap is not None:
            logits = self.logits_softcap * jnp.tanh(logits / self.logits_softcap)
        return tap("logits", logits)

    def empty_cache(self, batch: int, length: int) -> dict[str, Any]:
        """Return the collection `cache` for some texts, with room for a number of tokens."""
        caches = [
            {"attention": empty_self_attention(batch, length, x.num_key_value_heads, x.head_dim)}
            for x in self.stack
        ]
        return layers_cache(caches, scan=self.scan)


def _from_config(config: Config) -> Llama:
    family, num_heads = config["model_type"], setting(config, "num_attention_heads")
    features, epsilon = setting(config, "hidden_size"), setting(config, "rms_norm_eps")
    attention_bias = bool(config.get("attention_bias"))
    layer = LlamaLayer(
        num_heads=num_heads,
        num_key_value_heads=setting(config, "num_key_value_heads", default=num_heads),
        head_dim=setting(config, "head_dim", default=features // num_heads),
        mlp_dim=setting(config, "intermediate_size"),
        activation=activation(setting(config, "hidden_act")),
        mlp_bias=bool(config.get("mlp_bias")),
        qkv_bias=attention_bias or family == "qwen2",
        out_bias=attention_bias,
        normalizes_heads=family == "qwen3",
        epsilon=epsilon,
        **rotary(config),
    )
    return Llama(
        vocabulary=setting(config, "vocab_size"),
        features=features,
        stack=tuple(layer.clone(window=window) for window in _windows(config)),
        epsilon=epsilon,
        has_head=not config.get("tie_word_embeddings"),
    )


def rotary(config: Config) -> dict[str, Any]:
    """Return the base and the factor of the rotary positions, as a layer takes them.

    Raises:
        PretrainedError: If they are scaled in another way.
    """
    # transformers 5 writes one object, earlier releases two settings.
    settings = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = settings.get("rope_type", settings.get("type", "default"))
    fraction = settings.get("partial_rotary_factor", config.get("partial_rotary_factor")) or 1.0
    if kind not in ("default", "linear") or fraction != 1.0:
        raise PretrainedError(
            f"config.json asks for rotary positions of the kind {kind!r} on {fraction:g} of each "
            "head's features; only 'default' and 'linear' on all of them are supported."
        )
    return {
        "rotary_base": float(settings.get("rope_theta", config.get("rope_theta", 10_000.0))),
        "rotary_factor": float(settings.get("factor", 1.0)) if kind == "linear" else 1.0,
    }


def _windows(config: Config) -> list[int | None]:
    """Return the window of each layer."""
    count, window = setting(config, "num_hidden_layers"), config.get("sliding_window")
    if config["model_type"].startswith("qwen") and not config.get("use_sliding_window"):
        window = None
    if config["model_type"] == "llama" or window is None:
        return [None] * count
    if config["model_type"] == "mistral":
        return [window] * count
    first = config.get("max_window_layers", 0)
    full = [i < first for i in range(count)]
    if config.get("layer_types"):
        full = [kind == "full_attention" for kind in config["layer_types"]]
    return [None if is_full else window for is_full in full]


def _synonyms(config: Config) -> dict[str, tuple[str, ...]]:
    if config.get("tie_word_embeddings"):
        return {"embed_tokens.weight": ("lm_head.weight",)}
    return {}


_DENSE = {
    "self_attn.q_proj": "attention/query",
    "self_attn.k_proj": "attention/key",
    "self_attn.v_proj": "attention/value",
    "mlp.gate_proj": "mlp_gate",
    "mlp.up_proj": "mlp_in",
    "mlp.down_proj": "mlp_out",
}
_SCALES = {
    "self_attn.q_norm": "attention/transform/query_scale",
    "self_attn.k_norm": "attention/transform/key_scale",
    "input_layernorm": "attention_norm/scale",
    "post_attention_layernorm": "mlp_norm/scale",
}
TABLE: Table = {
    "embed_tokens.weight": ("token_embedding/embedding", "same"),
    "norm.weight": ("norm/scale", "same"),
    "lm_head.weight": ("head/kernel", "kernel"),
    "layers.*.self_attn.o_proj.weight": ("layers_*/attention/out/kernel", "out_kernel"),
    "layers.*.self_attn.o_proj.bias": ("layers_*/attention/out/bias", "same"),
    **{f"layers.*.{k}.weight": (f"layers_*/{v}/kernel", "kernel") for k, v in _DENSE.items()},
    **{f"layers.*.{k}.bias": (f"layers_*/{v}/bias", "same") for k, v in _DENSE.items()},
    **{f"layers.*.{k}.weight": (f"layers_*/{v}", "same") for k, v in _SCALES.items()},
}
_BUFFERS = (r"(layers\.\d+\.self_attn\.)?rotary_emb\.inv_freq",)

LLAMA, MISTRAL, QWEN2, QWEN3 = (
    Family(model_type, _from_config, TABLE, "model.", _BUFFERS, synonyms=_synonyms)
    for model_type in ("llama", "mistral", "qwen2", "qwen3")
)

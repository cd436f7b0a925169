"""GPT-2: a decoder with learned positions that normalizes before each part."""

from collections.abc import Callable
from typing import Any

from flax import linen as nn
from jax import Array
from jaxtyping import Bool, Float, Int

from attn_jax.hooks import tap
from attn_jax.pretrained.errors import PretrainedError
from attn_jax.pretrained.families.caching import (
    CachedAttention,
    empty_positions,
    empty_self_attention,
    token_positions,
)
from attn_jax.pretrained.families.family import Config, Family, setting
from attn_jax.pretrained.families.layers import layers_cache, run_layers
from attn_jax.pretrained.families.parts import activation, at_positions, layer_norm
from attn_jax.pretrained.reading.convert import Table


class Gpt2Layer(nn.Module):
    """One layer: attention and a feed-forward network, each of normalized states and added.

    Attributes:
        num_heads: The heads.
        mlp_dim: The features inside the feed-forward network.
        activation: Its activation.
        epsilon: Added to variances.
    """

    num_heads: int
    mlp_dim: int
    activation: Callable[[Array], Array]
    epsilon: float

    @nn.compact
    def __call__(
        self, x: Float[Array, "*b t f"], key_mask: Bool[Array, "*b t"] | None = None
    ) -> Float[Array, "*b t f"]:
        """Apply the layer to `(*b, tokens, features)`."""
        x = tap("residual", x)
        attend = CachedAttention(self.num_heads, causal=True, name="attention")
        attended = attend(layer_norm(self.epsilon, "attention_norm")(x), key_mask=key_mask)
        x = tap("residual_mid", x + attended)
        normalized = layer_norm(self.epsilon, "mlp_norm")(x)
        hidden = tap("mlp_in", nn.Dense(self.mlp_dim, name="mlp_in")(normalized))
        hidden = tap("mlp_hidden", self.activation(hidden))
        hidden = tap("mlp", nn.Dense(x.shape[-1], name="mlp_out")(hidden))
        return tap("residual_out", x + hidden)


class Gpt2(nn.Module):
    """The language model GPT-2.

    Hook points beside those of attention (`layers.3.attention.weights`) and of the norms
    (:class:`LayerNorm`): `token_embedding`, `position_embedding`, `embedding` (their sum), in each
    layer `residual` (what enters it), `residual_mid` (after attention), `mlp_in` and `mlp_hidden`
    (before and after the activation), `mlp` and `residual_out`, and `logits`.

    Attributes:
        vocabulary: The number of tokens.
        positions: The number of positions.
        features: The features of a token.
        num_layers: The layers.
        num_heads: The heads of each.
        mlp_dim: The features inside the feed-forward networks.
        activation: Their activation.
        epsilon: Added to variances.
        has_head: Whether the logits have a matrix of their own, not that of the embedding.
        scan: Whether the layers run as one scan over stacked parameters.

    References:
        Radford et al., "Language Models are Unsupervised Multitask Learners", 2019.
    """

    vocabulary: int
    positions: int
    features: int
    num_layers: int
    num_heads: int
    mlp_dim: int
    activation: Callable[[Array], Array] = nn.gelu
    epsilon: float = 1e-5
    has_head: bool = False
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
        place = nn.Embed(self.positions, self.features, name="position_embedding")
        x = tap("token_embedding", embed(tokens))
        places = tap("position_embedding", place(token_positions(self, tokens.shape[-1])))
        places = places.reshape((1,) * (x.ndim - places.ndim) + places.shape)
        x = tap("embedding", x + places)
        layer = Gpt2Layer(self.num_heads, self.mlp_dim, self.activation, self.epsilon, parent=None)
        x = run_layers(self, [layer] * self.num_layers, x, key_mask, scan=self.scan)
        x = at_positions(x, logits_at)
        x = layer_norm(self.epsilon, "norm")(x)
        if self.has_head:
            return tap("logits", nn.Dense(self.vocabulary, use_bias=False, name="head")(x))
        return tap("logits", embed.attend(x))

    def empty_cache(self, batch: int, length: int) -> dict[str, Any]:
        """Return the collection `cache` for some texts, with room for a number of tokens."""
        head_dim = self.features // self.num_heads
        attention = empty_self_attention(batch, length, self.num_heads, head_dim)
        layers = layers_cache([{"attention": attention}] * self.num_layers, scan=self.scan)
        return empty_positions(batch) | layers


def _from_config(config: Config) -> Gpt2:
    for name, supported in _SUPPORTED.items():
        if config.get(name, supported) != supported:
            raise PretrainedError(
                f"config.json says {name} = {config[name]}; only {supported} is supported."
            )
    features = setting(config, "n_embd")
    return Gpt2(
        vocabulary=setting(config, "vocab_size"),
        positions=setting(config, "n_positions"),
        features=features,
        num_layers=setting(config, "n_layer"),
        num_heads=setting(config, "n_head"),
        mlp_dim=setting(config, "n_inner", default=4 * features),
        activation=activation(setting(config, "activation_function")),
        epsilon=setting(config, "layer_norm_epsilon", default=1e-5),
        has_head=not _is_tied(config),
    )


_SUPPORTED = {
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
}


def _is_tied(config: Config) -> bool:
    return config.get("tie_word_embeddings", True)


def _synonyms(config: Config) -> dict[str, tuple[str, ...]]:
    return {"wte.weight": ("lm_head.weight",)} if _is_tied(config) else {}


_FUSED = {"attn.c_attn": ("attn.query", "attn.key", "attn.value")}
_DENSE = {
    "attn.query": "attention/query",
    "attn.key": "attention/key",
    "attn.value": "attention/value",
    "mlp.c_fc": "mlp_in",
    "mlp.c_proj": "mlp_out",
}
_NORMS = {"h.*.ln_1": "layers_*/attention_norm", "h.*.ln_2": "layers_*/mlp_norm", "ln_f": "norm"}
_TABLE: Table = {
    "wte.weight": ("token_embedding/embedding", "same"),
    "wpe.weight": ("position_embedding/embedding", "same"),
    "lm_head.weight": ("head/kernel", "kernel"),
    "h.*.attn.c_proj.weight": ("layers_*/attention/out/kernel", "out_conv"),
    "h.*.attn.c_proj.bias": ("layers_*/attention/out/bias", "same"),
    **{f"h.*.{k}.weight": (f"layers_*/{v}/kernel", "conv") for k, v in _DENSE.items()},
    **{f"h.*.{k}.bias": (f"layers_*/{v}/bias", "same") for k, v in _DENSE.items()},
    **{f"{k}.weight": (f"{v}/scale", "same") for k, v in _NORMS.items()},
    **{f"{k}.bias": (f"{v}/bias", "same") for k, v in _NORMS.items()},
}
# The causal masks that earlier releases saved.
_BUFFERS = (r"h\.\d+\.attn\.(masked_)?bias",)

GPT2 = Family(
    "gpt2", _from_config, _TABLE, "transformer.", _BUFFERS, fused=_FUSED, synonyms=_synonyms
)

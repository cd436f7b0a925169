"""T5: an encoder and a decoder with relative positions."""

from collections.abc import Callable
from typing import Any

from flax import linen as nn
from jax import Array
from jaxtyping import Bool, Float, Int

from attn_jax import ops
from attn_jax.hooks import tap
from attn_jax.nn import RelativePositionBias
from attn_jax.pretrained.families.caching import (
    CachedAttention,
    CachedCrossAttention,
    empty_cross_attention,
    empty_self_attention,
)
from attn_jax.pretrained.families.family import Config, Family, pair_reader, setting, some_pairs
from attn_jax.pretrained.families.norms import RMSNorm
from attn_jax.pretrained.families.parts import HeadAttention, activation
from attn_jax.pretrained.reading.convert import Table


class Unscaled(HeadAttention):
    """Attention whose scores are not scaled."""

    use_bias: bool = False

    def structure(self, heads: ops.Inputs) -> dict[str, Any]:
        """Return what the fused call is to know, with a scale of one."""
        return super().structure(heads) | {"scale": 1.0}


class T5Attention(Unscaled, CachedAttention):
    """Self-attention of T5, whose scores have a bias for the distance of query and key.

    Attributes:
        position_bias: Returns it, and is shared by all layers; there is no bias if None.
    """

    position_bias: RelativePositionBias | None = None

    def project(self, inputs: ops.Inputs) -> ops.Inputs:
        """Project the tokens to heads, and add the bias of all keys, those in the cache too."""
        heads = super().project(inputs)
        if self.position_bias is None:
            return heads
        queries, keys = heads.query.shape[-3], heads.key.shape[-3]
        offset = 0 if self.start is None else self.start
        bias = self.position_bias(queries, keys, query_offset=offset)
        return heads._replace(bias=bias.reshape((1,) * (heads.query.ndim - bias.ndim) + bias.shape))


class T5CrossAttention(Unscaled, CachedCrossAttention):
    """Attention of T5's decoder to the encoder."""


class T5Layer(nn.Module):
    """One layer: self-attention, in a decoder attention to the encoder, a feed-forward network.

    Each is of normalized states, and added.

    Attributes:
        num_heads: The heads.
        head_dim: The features of a head.
        mlp_dim: The features inside the feed-forward network.
        activation: Its activation.
        is_gated: Whether it is multiplied by a second projection.
        is_decoder: Whether a token attends to itself and those before it, and to an encoder.
        epsilon: Added to mean squares.
    """

    num_heads: int
    head_dim: int
    mlp_dim: int
    activation: Callable[[Array], Array]
    is_gated: bool = False
    is_decoder: bool = False
    epsilon: float = 1e-6

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "*b t f"],
        position_bias: RelativePositionBias,
        key_mask: Bool[Array, "*b k"] | None = None,
        states: Float[Array, "*b k f"] | None = None,
    ) -> Float[Array, "*b t f"]:
        """Apply the layer to `(*b, tokens, features)`.

        Args:
            x: The states of its tokens.
            position_bias: Returns the bias of their distances.
            key_mask: True = the token of the encoder exists; all do if None.
            states: The states of the encoder, for a decoder.
        """
        attend = T5Attention(
            self.num_heads,
            self.head_dim,
            causal=self.is_decoder,
            position_bias=position_bias,
            name="attention",
        )
        own_mask = None if self.is_decoder else key_mask
        x = tap("residual", x)
        attended = attend(self._norm("attention_norm")(x), key_mask=own_mask)
        x = tap("residual_mid", x + attended)
        if self.is_decoder:
            cross = T5CrossAttention(self.num_heads, self.head_dim, name="cross_attention")
            attended = cross(self._norm("cross_attention_norm")(x), states, key_mask=key_mask)
            x = tap("residual_cross", x + attended)
        normalized = self._norm("mlp_norm")(x)
        hidden = self.activation(self._dense(self.mlp_dim, "mlp_in")(normalized))
        if self.is_gated:
            hidden = hidden * self._dense(self.mlp_dim, "mlp_gate")(normalized)
        hidden = tap("mlp", self._dense(x.shape[-1], "mlp_out")(hidden))
        return tap("residual_out", x + hidden)

    def _norm(self, name: str) -> RMSNorm:
        return RMSNorm(self.epsilon, name=name)

    def _dense(self, features: int, name: str) -> nn.Dense:
        return nn.Dense(features, use_bias=False, name=name)


class T5Stack(nn.Module):
    """An encoder or a decoder: layers that share the bias of relative positions.

    Attributes:
        layers: The layers, from the first to the last.
        num_buckets: The number of buckets of distances.
        max_distance: Distances beyond this share one bucket.
    """

    layers: tuple[T5Layer, ...]
    num_buckets: int = 32
    max_distance: int = 128

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "*b t f"],
        key_mask: Bool[Array, "*b k"] | None = None,
        states: Float[Array, "*b k f"] | None = None,
    ) -> Float[Array, "*b t f"]:
        """Return the last states of tokens; the arguments are those of :class:`T5Layer`."""
        first = self.layers[0]
        position_bias = RelativePositionBias(
            first.num_heads,
            self.num_buckets,
            self.max_distance,
            causal=first.is_decoder,
            name="position_bias",
        )
        x = tap("embedding", x)
        for layer in self.layers:
            x = layer(x, position_bias, key_mask, states)
        return RMSNorm(first.epsilon, name="norm")(x)


class T5(nn.Module):
    """An encoder and a decoder that attends to it.

    Hook points beside those of attention (`encoder.layers.3.attention.weights`,
    `decoder.layers.3.attention.weights`, `decoder.layers.3.cross_attention.weights`): for both
    `embedding`, in each layer `residual` (what enters it), `residual_mid` (after self-attention),
    in the decoder `residual_cross` (after attention to the encoder), `mlp` and `residual_out`; and
    `logits`.

    Attributes:
        vocabulary: The number of tokens.
        features: The features of a token.
        encoder: The encoder.
        decoder: The decoder.
        has_head: Whether the logits have a matrix of their own; else they have that of the
            embedding, and are divided by the root of the features.

    References:
        Raffel et al., "Exploring the Limits of Transfer Learning with a Unified Text-to-Text
        Transformer", 2020. https://arxiv.org/abs/1910.10683
        Shazeer, "GLU Variants Improve Transformer", 2020. https://arxiv.org/abs/2002.05202
    """

    vocabulary: int
    features: int
    encoder: T5Stack
    decoder: T5Stack
    has_head: bool = False

    def setup(self) -> None:
        """Create the embedding, and the matrix of the logits."""
        self.token_embedding = nn.Embed(self.vocabulary, self.features)
        if self.has_head:
            self.head = nn.Dense(self.vocabulary, use_bias=False)

    def __call__(
        self,
        tokens: Int[Array, "*b k"],
        decoder_tokens: Int[Array, "*b t"],
        key_mask: Bool[Array, "*b k"] | None = None,
    ) -> Float[Array, "*b t v"]:
        """Return the logits of the token after each of the decoder's.

        Args:
            tokens: Numbers of the tokens that are read, `(*b, tokens)`.
            decoder_tokens: Numbers of the tokens that are written.
            key_mask: True = the token that is read exists; all do if None.
        """
        return self.decode(decoder_tokens, self.encode(tokens, key_mask), key_mask)

    def encode(
        self, tokens: Int[Array, "*b k"], key_mask: Bool[Array, "*b k"] | None = None
    ) -> Float[Array, "*b k f"]:
        """Return the states of the tokens that are read."""
        return self.encoder(self.token_embedding(tokens), key_mask)

    def decode(
        self,
        decoder_tokens: Int[Array, "*b t"],
        states: Float[Array, "*b k f"],
        key_mask: Bool[Array, "*b k"] | None = None,
    ) -> Float[Array, "*b t v"]:
        """Return the logits of the token after each of the decoder's."""
        x = self.decoder(self.token_embedding(decoder_tokens), key_mask, states)
        if self.has_head:
            return tap("logits", self.head(x))
        return tap("logits", self.token_embedding.attend(x * self.features**-0.5))

    def empty_cache(self, batch: int, length: int) -> dict[str, Any]:
        """Return the collection `cache` for some texts, with room for a number of tokens."""
        first = self.decoder.layers[0]
        heads = first.num_heads, first.head_dim
        layer = {
            "attention": empty_self_attention(batch, length, *heads),
            "cross_attention": empty_cross_attention(batch, *heads),
        }
        return {"decoder": {f"layers_{i}": layer for i in range(len(self.decoder.layers))}}


def _from_config(config: Config) -> T5:
    num_layers = setting(config, "num_layers")
    return T5(
        vocabulary=setting(config, "vocab_size"),
        features=setting(config, "d_model"),
        encoder=_stack(config, num_layers, is_decoder=False),
        decoder=_stack(
            config, setting(config, "num_decoder_layers", default=num_layers), is_decoder=True
        ),
        has_head=_has_head(config),
    )


def _stack(config: Config, num_layers: int, *, is_decoder: bool) -> T5Stack:
    gate, _, name = setting(config, "feed_forward_proj", default="relu").rpartition("-")
    layer = T5Layer(
        num_heads=setting(config, "num_heads"),
        head_dim=setting(config, "d_kv"),
        mlp_dim=setting(config, "d_ff"),
        # What is called gelu here was always its approximation.
        activation=activation("gelu_new" if (gate, name) == ("gated", "gelu") else name),
        is_gated=gate == "gated",
        is_decoder=is_decoder,
        epsilon=setting(config, "layer_norm_epsilon", default=1e-6),
    )
    return T5Stack(
        layers=tuple(layer.clone() for _ in range(num_layers)),
        num_buckets=setting(config, "relative_attention_num_buckets", default=32),
        max_distance=setting(config, "relative_attention_max_distance", default=128),
    )


def _has_head(config: Config) -> bool:
    if config["model_type"] == "mt5":
        return True
    # transformers 5 writes the first, and says of all models that their matrices are tied.
    is_scaled = config.get("scale_decoder_outputs", config.get("tie_word_embeddings", True))
    return not is_scaled


def _synonyms(config: Config) -> dict[str, tuple[str, ...]]:
    sides = "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"
    if _has_head(config):
        return {"shared.weight": sides, "lm_head.weight": ("shared.weight", *sides)}
    return {"shared.weight": (*sides, "lm_head.weight")}


def _attention(theirs: str, ours: str) -> Table:
    """Return the table of an attention, by its names in a layer."""
    names = {"q": "query", "k": "key", "v": "value"}
    return {
        **{f"{theirs}.{k}.weight": (f"{ours}/{v}/kernel", "kernel") for k, v in names.items()},
        f"{theirs}.o.weight": (f"{ours}/out/kernel", "out_kernel"),
    }


def _stack_table(side: str, blocks: Table) -> Table:
    """Return the table of a side, by that of its layers."""
    first = f"{side}.block.*.layer.0.SelfAttention"
    return {
        f"{side}.final_layer_norm.weight": (f"{side}/norm/scale", "same"),
        # It is stored in the first layer.
        f"{first}.relative_attention_bias.weight": (f"{side}/position_bias/table", "same"),
        **{
            f"{side}.block.*.{k}": (f"{side}/layers_*/{v}", kind) for k, (v, kind) in blocks.items()
        },
    }


def _mlp(layer: str) -> Table:
    names = {"wi": "mlp_in", "wi_0": "mlp_in", "wi_1": "mlp_gate", "wo": "mlp_out"}
    dense = f"{layer}.DenseReluDense"
    return {
        f"{layer}.layer_norm.weight": ("mlp_norm/scale", "same"),
        **{f"{dense}.{k}.weight": (f"{v}/kernel", "kernel") for k, v in names.items()},
    }


_SELF: Table = {
    "layer.0.layer_norm.weight": ("attention_norm/scale", "same"),
    **_attention("layer.0.SelfAttention", "attention"),
}
_CROSS: Table = {
    "layer.1.layer_norm.weight": ("cross_attention_norm/scale", "same"),
    **_attention("layer.1.EncDecAttention", "cross_attention"),
}
_TABLE: Table = {
    "shared.weight": ("token_embedding/embedding", "same"),
    "lm_head.weight": ("head/kernel", "kernel"),
    **_stack_table("encoder", {**_SELF, **_mlp("layer.1")}),
    **_stack_table("decoder", {**_SELF, **_CROSS, **_mlp("layer.2")}),
}
# Early releases saved a bias that nothing uses.
_UNUSED = (r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight",)

T5_FAMILY, MT5 = (
    Family(
        model_type,
        _from_config,
        _TABLE,
        "",
        _UNUSED,
        synonyms=_synonyms,
        example=some_pairs,
        reader=pair_reader,
    )
    for model_type in ("t5", "mt5")
)

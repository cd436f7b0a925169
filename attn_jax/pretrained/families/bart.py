"""BART, mBART and Marian: encoders and decoders with attention from one to the other."""

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array
from jaxtyping import Bool, Float, Int

from attn_jax.hooks import tap
from attn_jax.pretrained.errors import PretrainedError
from attn_jax.pretrained.families.caching import (
    CachedAttention,
    CachedCrossAttention,
    empty_cross_attention,
    empty_positions,
    empty_self_attention,
    token_positions,
)
from attn_jax.pretrained.families.family import Config, Family, pair_reader, setting, some_pairs
from attn_jax.pretrained.families.parts import activation, layer_norm
from attn_jax.pretrained.reading.convert import Table


class BartLayer(nn.Module):
    """One layer: self-attention, in a decoder attention to the encoder, a feed-forward network.

    Each is added to the states, which are normalized afterwards, or before.

    Attributes:
        num_heads: The heads.
        mlp_dim: The features inside the feed-forward network.
        activation: Its activation.
        is_decoder: Whether a token attends to itself and those before it, and to an encoder.
        normalizes_first: Whether a part sees normalized states; else its sum is normalized.
    """

    num_heads: int
    mlp_dim: int
    activation: Callable[[Array], Array]
    is_decoder: bool = False
    normalizes_first: bool = False

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "*b t f"],
        key_mask: Bool[Array, "*b k"] | None = None,
        states: Float[Array, "*b k f"] | None = None,
    ) -> Float[Array, "*b t f"]:
        """Apply the layer to `(*b, tokens, features)`.

        Args:
            x: The states of its tokens.
            key_mask: True = the token of the encoder exists; all do if None.
            states: The states of the encoder, for a decoder.
        """
        attend = CachedAttention(self.num_heads, causal=self.is_decoder, name="attention")
        own_mask = None if self.is_decoder else key_mask
        x = tap("residual", x)
        x = self._add(x, functools.partial(attend, key_mask=own_mask), "attention_norm")
        x = tap("residual_mid", x)
        if self.is_decoder:
            cross = CachedCrossAttention(self.num_heads, name="cross_attention")
            x = self._add(x, lambda x: cross(x, states, key_mask=key_mask), "cross_attention_norm")
            x = tap("residual_cross", x)
        return tap("residual_out", self._add(x, self._mlp, "mlp_norm"))

    def _add(self, x: Array, part: Callable[[Array], Array], norm: str) -> Array:
        normalize = layer_norm(1e-5, norm)
        return x + part(normalize(x)) if self.normalizes_first else normalize(x + part(x))

    def _mlp(self, x: Array) -> Array:
        hidden = self.activation(nn.Dense(self.mlp_dim, name="mlp_in")(x))
        return tap("mlp", nn.Dense(x.shape[-1], name="mlp_out")(hidden))


class BartStack(nn.Module):
    """An encoder or a decoder: positions and layers.

    Attributes:
        layers: The layers, from the first to the last.
        positions: The number of positions.
        learns_positions: Whether they are learned; else they are sine and cosine.
        normalizes_embedding: Whether tokens and positions are normalized before the first layer.
        normalizes_last: Whether the states after the last layer are.
    """

    layers: tuple[BartLayer, ...]
    positions: int
    learns_positions: bool = True
    normalizes_embedding: bool = True
    normalizes_last: bool = False

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "*b t f"],
        key_mask: Bool[Array, "*b k"] | None = None,
        states: Float[Array, "*b k f"] | None = None,
    ) -> Float[Array, "*b t f"]:
        """Return the last states of tokens; the arguments are those of :class:`BartLayer`."""
        places = self._places(token_positions(self, x.shape[-2]), x.shape[-1])
        x = x + places.reshape((1,) * (x.ndim - places.ndim) + places.shape)
        if self.normalizes_embedding:
            x = layer_norm(1e-5, "embedding_norm")(x)
        x = tap("embedding", x)
        for layer in self.layers:
            x = layer(x, key_mask, states)
        return layer_norm(1e-5, "norm")(x) if self.normalizes_last else x

    def _places(self, positions: Array, features: int) -> Array:
        """Return the embeddings of positions."""
        if not self.learns_positions:
            return jnp.asarray(sinusoids(self.positions, features))[positions]
        # The checkpoints have two rows before that of the first position.
        rows = nn.Embed(self.positions + 2, features, name="position_embedding")
        return rows(positions + 2)


class Bart(nn.Module):
    """An encoder and a decoder that attends to it.

    Hook points beside those of attention (`encoder.layers.3.attention.weights`,
    `decoder.layers.3.attention.weights`, `decoder.layers.3.cross_attention.weights`): for both
    `embedding`, in each layer `residual` (what enters it), `residual_mid` (after self-attention),
    in the decoder `residual_cross` (after attention to the encoder), `mlp` and `residual_out`; and
    `logits`.

    Attributes:
        vocabulary: The number of tokens.
        target_vocabulary: The number of tokens of the decoder, if it has a vocabulary of its own.
        features: The features of a token.
        encoder: The encoder.
        decoder: The decoder.
        scales_embedding: Whether embeddings are multiplied by the root of the features.

    References:
        Lewis et al., "BART", 2020. https://arxiv.org/abs/1910.13461
        Liu et al., "Multilingual Denoising Pre-training for Neural Machine Translation", 2020.
        https://arxiv.org/abs/2001.08210
        Junczys-Dowmunt et al., "Marian", 2018. https://arxiv.org/abs/1804.00344
    """

    vocabulary: int
    target_vocabulary: int | None
    features: int
    encoder: BartStack
    decoder: BartStack
    scales_embedding: bool = False

    def setup(self) -> None:
        """Create the embeddings, and the bias of the logits."""
        self.token_embedding = nn.Embed(self.vocabulary, self.features)
        size = self.target_vocabulary or self.vocabulary
        if self.target_vocabulary is not None:
            self.target_embedding = nn.Embed(size, self.features)
        self.logits_bias = self.param("logits_bias", nn.initializers.zeros, (1, size))

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
        return self.encoder(self._embed(tokens, self.token_embedding), key_mask)

    def decode(
        self,
        decoder_tokens: Int[Array, "*b t"],
        states: Float[Array, "*b k f"],
        key_mask: Bool[Array, "*b k"] | None = None,
    ) -> Float[Array, "*b t v"]:
        """Return the logits of the token after each of the decoder's."""
        x = self.decoder(self._embed(decoder_tokens, self._target), key_mask, states)
        bias = self.logits_bias.reshape((1,) * (x.ndim - 1) + (-1,))
        return tap("logits", self._target.attend(x) + bias)

    def empty_cache(self, batch: int, length: int) -> dict[str, Any]:
        """Return the collection `cache` for some texts, with room for a number of tokens."""
        layers = {}
        for i, layer in enumerate(self.decoder.layers):
            heads = layer.num_heads, self.features // layer.num_heads
            layers[f"layers_{i}"] = {
                "attention": empty_self_attention(batch, length, *heads),
                "cross_attention": empty_cross_attention(batch, *heads),
            }
        return {"decoder": empty_positions(batch) | layers}

    @property
    def _target(self) -> nn.Embed:
        return self.token_embedding if self.target_vocabulary is None else self.target_embedding

    def _embed(self, tokens: Array, table: nn.Embed) -> Array:
        return table(tokens) * (self.features**0.5 if self.scales_embedding else 1.0)


def sinusoids(count: int, features: int) -> np.ndarray:
    """Return positions as waves: the sines of all wavelengths, then the cosines.

    References:
        Vaswani et al., "Attention Is All You Need", 2017, section 3.5.
    """
    wavelengths = 10_000.0 ** (np.arange(0, features, 2) / features)
    angles = np.arange(count)[:, None] / wavelengths
    waves = np.concatenate([np.sin(angles), np.cos(angles[:, : features // 2])], axis=1)
    return waves.astype(np.float32)


def _from_config(config: Config) -> Bart:
    if not config.get("tie_word_embeddings", True):
        raise PretrainedError(
            "config.json says tie_word_embeddings = False; only True is supported: the logits have "
            "the matrix of the embedding."
        )
    vocabulary = setting(config, "vocab_size")
    return Bart(
        vocabulary=vocabulary,
        target_vocabulary=None
        if _shares_embedding(config)
        else setting(config, "decoder_vocab_size", default=vocabulary),
        features=setting(config, "d_model"),
        encoder=_stack(config, "encoder"),
        decoder=_stack(config, "decoder"),
        scales_embedding=bool(config.get("scale_embedding")),
    )


def _stack(config: Config, side: str) -> BartStack:
    family = config["model_type"]
    layer = BartLayer(
        num_heads=setting(config, f"{side}_attention_heads"),
        mlp_dim=setting(config, f"{side}_ffn_dim"),
        activation=activation(setting(config, "activation_function")),
        is_decoder=side == "decoder",
        normalizes_first=family == "mbart",
    )
    return BartStack(
        layers=tuple(layer.clone() for _ in range(setting(config, f"{side}_layers"))),
        positions=setting(config, "max_position_embeddings"),
        learns_positions=family != "marian",
        normalizes_embedding=family != "marian",
        normalizes_last=family == "mbart",
    )


def _shares_embedding(config: Config) -> bool:
    return config["model_type"] != "marian" or config.get("share_encoder_decoder_embeddings", True)


def _synonyms(config: Config) -> dict[str, tuple[str, ...]]:
    if not _shares_embedding(config):
        return {"decoder.embed_tokens.weight": ("lm_head.weight",)}
    sides = "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"
    return {"shared.weight": (*sides, "lm_head.weight")}


_DENSE = {
    "self_attn.q_proj": "attention/query",
    "self_attn.k_proj": "attention/key",
    "self_attn.v_proj": "attention/value",
    "encoder_attn.q_proj": "cross_attention/query",
    "encoder_attn.k_proj": "cross_attention/key",
    "encoder_attn.v_proj": "cross_attention/value",
    "fc1": "mlp_in",
    "fc2": "mlp_out",
}
_OUTPUTS = {
    "self_attn.out_proj": "attention/out",
    "encoder_attn.out_proj": "cross_attention/out",
}
_NORMS = {
    "layers.*.self_attn_layer_norm": "layers_*/attention_norm",
    "layers.*.encoder_attn_layer_norm": "layers_*/cross_attention_norm",
    "layers.*.final_layer_norm": "layers_*/mlp_norm",
    "layernorm_embedding": "embedding_norm",
    "layer_norm": "norm",
}
_STACK: Table = {
    "embed_positions.weight": ("position_embedding/embedding", "same"),
    **{f"layers.*.{k}.weight": (f"layers_*/{v}/kernel", "kernel") for k, v in _DENSE.items()},
    **{f"layers.*.{k}.weight": (f"layers_*/{v}/kernel", "out_kernel") for k, v in _OUTPUTS.items()},
    **{f"layers.*.{k}.bias": (f"layers_*/{v}/bias", "same") for k, v in _DENSE.items()},
    **{f"layers.*.{k}.bias": (f"layers_*/{v}/bias", "same") for k, v in _OUTPUTS.items()},
    **{f"{k}.weight": (f"{v}/scale", "same") for k, v in _NORMS.items()},
    **{f"{k}.bias": (f"{v}/bias", "same") for k, v in _NORMS.items()},
}
_TABLE: Table = {
    "shared.weight": ("token_embedding/embedding", "same"),
    "encoder.embed_tokens.weight": ("token_embedding/embedding", "same"),
    "decoder.embed_tokens.weight": ("target_embedding/embedding", "same"),
    "final_logits_bias": ("logits_bias", "same"),
    **{f"encoder.{k}": (f"encoder/{v}", kind) for k, (v, kind) in _STACK.items()},
    **{f"decoder.{k}": (f"decoder/{v}", kind) for k, (v, kind) in _STACK.items()},
}

BART, MBART, MARIAN = (
    Family(
        model_type,
        _from_config,
        _TABLE,
        "model.",
        # Marian's waves are computed here.
        (r"(en|de)coder\.embed_positions\.weight",) if model_type == "marian" else (),
        synonyms=_synonyms,
        optional=("logits_bias",),
        example=some_pairs,
        reader=pair_reader,
    )
    for model_type in ("bart", "mbart", "marian")
)

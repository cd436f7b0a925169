"""Whisper: an encoder of sound and a decoder that writes down what was said."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
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
from attn_jax.pretrained.families.family import Config, Family, setting
from attn_jax.pretrained.families.parts import HeadAttention, activation, layer_norm
from attn_jax.pretrained.reading.checkpoint import Checkpoint
from attn_jax.pretrained.reading.convert import Kind, Table
from attn_jax.pretrained.reading.sounds import SoundReader
from attn_jax.pretrained.reading.tokenizer import Tokenizer


class KeysWithoutBias(HeadAttention):
    """Attention whose keys have no bias."""

    def dense(
        self, features: int | tuple[int, ...], like: Array, *, name: str, axis: int | tuple = -1
    ) -> nn.DenseGeneral:
        """Create one of the projections."""
        dtype = jnp.dtype(self.dtype or like.dtype)
        return nn.DenseGeneral(features, axis=axis, use_bias=name != "key", dtype=dtype, name=name)


class WhisperAttention(KeysWithoutBias, CachedAttention):
    """Self-attention of the encoder, or of the decoder, which keeps its keys and values."""


class WhisperCrossAttention(KeysWithoutBias, CachedCrossAttention):
    """Attention of the decoder to the sound."""


class WhisperLayer(nn.Module):
    """One layer: attention, in a decoder attention to the sound too, and a feed-forward network.

    Each is of normalized states, and added to them.

    Attributes:
        num_heads: The heads.
        mlp_dim: The features inside the feed-forward network.
        activation: Its activation.
        causal: Whether a token attends only to those up to itself.
    """

    num_heads: int
    mlp_dim: int
    activation: Callable[[Array], Array] = nn.gelu
    causal: bool = False

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "*b t f"],
        sound: Float[Array, "*b k f"] | None = None,
        key_mask: Bool[Array, "*b k"] | None = None,
    ) -> Float[Array, "*b t f"]:
        """Apply the layer.

        Args:
            x: `(*b, tokens or frames, features)`.
            sound: What the encoder made of the sound; None in the encoder.
            key_mask: True = the frame exists; all do if None.
        """
        x = tap("residual", x)
        attend = WhisperAttention(self.num_heads, causal=self.causal, name="attention")
        frames = key_mask if sound is None else None
        attended = attend(layer_norm(1e-5, "attention_norm")(x), key_mask=frames)
        x = tap("residual_mid", x + attended)
        if sound is not None:
            listen = WhisperCrossAttention(self.num_heads, name="cross_attention")
            normalized = layer_norm(1e-5, "cross_attention_norm")(x)
            x = tap("residual_cross", x + listen(normalized, sound, key_mask=key_mask))
        normalized = layer_norm(1e-5, "mlp_norm")(x)
        hidden = self.activation(nn.Dense(self.mlp_dim, name="mlp_in")(normalized))
        hidden = tap("mlp", nn.Dense(x.shape[-1], name="mlp_out")(hidden))
        return tap("residual_out", x + hidden)


class WhisperEncoder(nn.Module):
    """The encoder: two convolutions, the second of which halves the frames, and layers.

    Attributes:
        frames: The number of frames after the convolutions.
        features: The features of a frame.
        layers: The layers, from the first to the last.
    """

    frames: int
    features: int
    layers: tuple[WhisperLayer, ...]

    @nn.compact
    def __call__(
        self, mel: Float[Array, "*b m t"], key_mask: Bool[Array, "*b k"] | None = None
    ) -> Float[Array, "*b k f"]:
        """Return the states of the frames, for a spectrogram `(*b, mels, 2 * frames)`."""
        if mel.shape[-1] != 2 * self.frames:
            raise PretrainedError(
                f"the spectrogram has {mel.shape[-1]} frames, and the model takes "
                f"{2 * self.frames}; model.encode makes it so."
            )
        x = mel.swapaxes(-1, -2)
        for i, stride in enumerate((1, 2), 1):
            x = nn.Conv(self.features, 3, stride, padding=[(1, 1)], name=f"conv_{i}")(x)
            x = nn.gelu(x, approximate=False)
        x = tap("embedding", x + _positions(self, self.frames, x))
        for layer in self.layers:
            x = layer(x, key_mask=key_mask)
        return layer_norm(1e-5, "norm")(x)


class WhisperDecoder(nn.Module):
    """The decoder: it attends to its own tokens and to the sound.

    Attributes:
        vocabulary: The number of tokens.
        positions: The number of positions.
        features: The features of a token.
        layers: The layers, from the first to the last.
        has_head: Whether the logits have a matrix of their own, not that of the embedding.
    """

    vocabulary: int
    positions: int
    features: int
    layers: tuple[WhisperLayer, ...]
    has_head: bool = False

    @nn.compact
    def __call__(
        self,
        tokens: Int[Array, "*b t"],
        sound: Float[Array, "*b k f"],
        key_mask: Bool[Array, "*b k"] | None = None,
    ) -> Float[Array, "*b t v"]:
        """Return the logits of the token after each."""
        embed = nn.Embed(self.vocabulary, self.features, name="token_embedding")
        x = embed(tokens)
        x = tap("embedding", x + _positions(self, self.positions, x))
        for layer in self.layers:
            x = layer(x, sound, key_mask)
        x = layer_norm(1e-5, "norm")(x)
        if self.has_head:
            return nn.Dense(self.vocabulary, use_bias=False, name="head")(x)
        return embed.attend(x)


def _positions(module: nn.Module, count: int, like: Array) -> Array:
    """Return the embedding of the positions of some tokens or frames, with the rank of those."""
    table = nn.Embed(count, like.shape[-1], name="position_embedding")
    positions = table(token_positions(module, like.shape[-2]))
    return positions.reshape((1,) * (like.ndim - positions.ndim) + positions.shape)


class Whisper(nn.Module):
    """A speech recognizer.

    Hook points beside those of attention (`encoder.layers.3.attention.weights`,
    `decoder.layers.3.attention.weights` and `decoder.layers.3.cross_attention.weights`): on both
    sides `embedding`, and in each layer `residual` (what enters it), `residual_mid` (after
    attention), `residual_cross` (after attention to the sound), `mlp` and `residual_out`; and
    `logits`.

    Attributes:
        encoder: The encoder of sound.
        decoder: The decoder of text.

    References:
        Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2022.
        https://arxiv.org/abs/2212.04356
    """

    encoder: WhisperEncoder
    decoder: WhisperDecoder

    def __call__(
        self,
        mel: Float[Array, "*b m t"],
        decoder_tokens: Int[Array, "*b t2"],
        key_mask: Bool[Array, "*b k"] | None = None,
    ) -> Float[Array, "*b t2 v"]:
        """Return the logits of the token after each.

        Args:
            mel: The logarithmic mel spectrogram, `(*b, mels, 2 * frames)`.
            decoder_tokens: Numbers of tokens, `(*b, tokens)`.
            key_mask: True = the frame exists, `(*b, frames)`; all do if None, as in training.
        """
        return self.decode(decoder_tokens, self.encode(mel, key_mask), key_mask)

    def encode(
        self, mel: Float[Array, "*b m t"], key_mask: Bool[Array, "*b k"] | None = None
    ) -> Float[Array, "*b k f"]:
        """Return what the encoder makes of a spectrogram, `(*b, frames, features)`."""
        return self.encoder(mel, key_mask)

    def decode(
        self,
        decoder_tokens: Int[Array, "*b t"],
        states: Float[Array, "*b k f"],
        key_mask: Bool[Array, "*b k"] | None = None,
    ) -> Float[Array, "*b t v"]:
        """Return the logits of the token after each, from what the encoder made."""
        return tap("logits", self.decoder(decoder_tokens, states, key_mask))

    def empty_cache(self, batch: int, length: int) -> dict[str, Any]:
        """Return the collection `cache` for some sounds, with room for a number of tokens."""
        layers = {}
        for i, layer in enumerate(self.decoder.layers):
            head_dim = self.decoder.features // layer.num_heads
            layers[f"layers_{i}"] = {
                "attention": empty_self_attention(batch, length, layer.num_heads, head_dim),
                "cross_attention": empty_cross_attention(batch, layer.num_heads, head_dim),
            }
        return {"decoder": empty_positions(batch) | layers}


def _from_config(config: Config) -> Whisper:
    features = setting(config, "d_model")
    return Whisper(
        WhisperEncoder(
            frames=setting(config, "max_source_positions"),
            features=features,
            layers=_layers(config, "encoder"),
        ),
        WhisperDecoder(
            vocabulary=setting(config, "vocab_size"),
            positions=setting(config, "max_target_positions"),
            features=features,
            layers=_layers(config, "decoder"),
            has_head=not _is_tied(config),
        ),
    )


def _layers(config: Config, side: str) -> tuple[WhisperLayer, ...]:
    layer = WhisperLayer(
        num_heads=setting(config, f"{side}_attention_heads"),
        mlp_dim=setting(config, f"{side}_ffn_dim"),
        activation=activation(setting(config, "activation_function")),
        causal=side == "decoder",
    )
    return tuple(layer.clone() for _ in range(setting(config, f"{side}_layers")))


def _is_tied(config: Config) -> bool:
    return config.get("tie_word_embeddings", True)


def _synonyms(config: Config) -> dict[str, tuple[str, ...]]:
    return {"decoder.embed_tokens.weight": ("proj_out.weight",)} if _is_tied(config) else {}


def _example(config: Config) -> dict[str, jax.ShapeDtypeStruct]:
    """Return the shapes of arguments that initialize the model."""
    shape = 1, setting(config, "num_mel_bins"), 2 * setting(config, "max_source_positions")
    return {
        "mel": jax.ShapeDtypeStruct(shape, jnp.float32),
        "decoder_tokens": jax.ShapeDtypeStruct((1, 2), jnp.int32),
    }


_DENSE: dict[str, tuple[str, Kind]] = {
    "fc1": ("mlp_in", "kernel"),
    "fc2": ("mlp_out", "kernel"),
    **{
        f"{theirs}.{letter}_proj": (f"{ours}/{name}", "out_kernel" if name == "out" else "kernel")
        for theirs, ours in (("self_attn", "attention"), ("encoder_attn", "cross_attention"))
        for letter, name in (("q", "query"), ("k", "key"), ("v", "value"), ("out", "out"))
    },
}
_NORMS = {
    "self_attn_layer_norm": "attention_norm",
    "encoder_attn_layer_norm": "cross_attention_norm",
    "final_layer_norm": "mlp_norm",
}


def _side(side: str) -> Table:
    """Return the table of the encoder or of the decoder."""
    layer, ours = f"{side}.layers.*.", f"{side}/layers_*/"
    return {
        f"{side}.embed_positions.weight": (f"{side}/position_embedding/embedding", "same"),
        f"{side}.layer_norm.weight": (f"{side}/norm/scale", "same"),
        f"{side}.layer_norm.bias": (f"{side}/norm/bias", "same"),
        **{f"{layer}{k}.weight": (f"{ours}{v}/kernel", kind) for k, (v, kind) in _DENSE.items()},
        **{f"{layer}{k}.bias": (f"{ours}{v}/bias", "same") for k, (v, _) in _DENSE.items()},
        **{f"{layer}{k}.weight": (f"{ours}{v}/scale", "same") for k, v in _NORMS.items()},
        **{f"{layer}{k}.bias": (f"{ours}{v}/bias", "same") for k, v in _NORMS.items()},
    }


_TABLE: Table = {
    **_side("encoder"),
    **_side("decoder"),
    **{f"encoder.conv{i}.weight": (f"encoder/conv_{i}/kernel", "window") for i in (1, 2)},
    **{f"encoder.conv{i}.bias": (f"encoder/conv_{i}/bias", "same") for i in (1, 2)},
    "decoder.embed_tokens.weight": ("decoder/token_embedding/embedding", "same"),
    "proj_out.weight": ("decoder/head/kernel", "kernel"),
}


def _reader(checkpoint: Checkpoint) -> SoundReader:
    config = checkpoint.config
    limit, end = setting(config, "max_target_positions"), setting(config, "eos_token_id")
    tokenizer = Tokenizer(checkpoint.rules(), pad=end, limit=limit)
    return SoundReader(tokenizer, config, checkpoint.preprocessing, checkpoint.generation)


WHISPER = Family(
    "whisper",
    _from_config,
    _TABLE,
    "model.",
    synonyms=_synonyms,
    example=_example,
    reader=_reader,
)

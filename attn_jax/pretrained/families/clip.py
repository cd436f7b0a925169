"""CLIP: an encoder of texts and one of images, whose outputs can be compared."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Bool, Float, Int

from attn_jax.hooks import tap
from attn_jax.pretrained.families.family import Config, Family, setting, some_tokens, text_reader
from attn_jax.pretrained.families.parts import activation, layer_norm
from attn_jax.pretrained.families.patches import PatchTokens
from attn_jax.pretrained.families.vit import VitLayer, an_image, grid_of, image_reader, pair_of
from attn_jax.pretrained.reading.checkpoint import Checkpoint
from attn_jax.pretrained.reading.convert import Table
from attn_jax.pretrained.reading.images_and_texts import ImageTextReader

_LARGEST = 2
"""What early configurations call the number of the end token, which is in fact the largest."""


class ClipText(nn.Module):
    """The encoder of texts.

    Attributes:
        vocabulary: The number of tokens.
        positions: The number of positions.
        features: The features of a token.
        layers: The layers, from the first to the last.
        epsilon: Added to variances.
        end: The number of the token that ends a text; the largest number in it if None.
    """

    vocabulary: int
    positions: int
    features: int
    layers: tuple[VitLayer, ...]
    epsilon: float = 1e-5
    end: int | None = None

    @nn.compact
    def __call__(
        self, tokens: Int[Array, "m t"], key_mask: Bool[Array, "m t"] | None = None
    ) -> Float[Array, "m f"]:
        """Return the states of the token that ends each text."""
        place = nn.Embed(self.positions, self.features, name="position_embedding")
        x = nn.Embed(self.vocabulary, self.features, name="token_embedding")(tokens)
        x = tap("embedding", x + place(jnp.arange(tokens.shape[-1]))[None])
        for layer in self.layers:
            x = layer(x, key_mask)
        x = layer_norm(self.epsilon, "norm")(x)
        last = (tokens if self.end is None else tokens == self.end).argmax(-1)
        return jnp.take_along_axis(x, last[:, None, None], axis=1)[:, 0]


class ClipVision(nn.Module):
    """The encoder of images.

    Attributes:
        tokens: Makes the tokens of an image.
        layers: The layers, from the first to the last.
        epsilon: Added to variances.
    """

    tokens: PatchTokens
    layers: tuple[VitLayer, ...]
    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, images: Float[Array, "n height width 3"]) -> Float[Array, "n f"]:
        """Return the states of the class token of each image."""
        x = tap("embedding", layer_norm(self.epsilon, "embedding_norm")(self.tokens(images)))
        for layer in self.layers:
            x = layer(x)
        return layer_norm(self.epsilon, "norm")(x[:, 0])


class Clip(nn.Module):
    """Two encoders that map texts and images to vectors of length one in the same space.

    Hook points are those of the encoders, `text.layers.3.attention.weights` and
    `vision.layers.3.attention.weights`, and `text_vector`, `image_vector` and `logits`.

    Attributes:
        text: The encoder of texts.
        vision: The encoder of images.
        features: The features of the common space.

    References:
        Radford et al., "Learning Transferable Visual Models From Natural Language Supervision",
        2021. https://arxiv.org/abs/2103.00020
    """

    text: ClipText
    vision: ClipVision
    features: int

    @nn.compact
    def __call__(
        self,
        images: Float[Array, "n height width 3"] | None = None,
        tokens: Int[Array, "m t"] | None = None,
        key_mask: Bool[Array, "m t"] | None = None,
    ) -> Float[Array, "n m"] | Float[Array, "n d"]:
        """Return how well each image fits each text.

        Args:
            images: `(n, height, width, 3)`, as the checkpoint's preprocessing makes them.
            tokens: Numbers of the texts' tokens, `(m, tokens)`.
            key_mask: True = the token exists; all do if None.

        Returns:
            Logits, `(n, m)`, whose softmax over texts gives the probability of each text for an
            image. Without texts, the vectors of the images, `(n, features)`; without images, those
            of the texts.

        Raises:
            ValueError: If there are neither images nor texts.
        """
        vectors = []
        if images is not None:
            x = self._projected("image_projection", self.vision(images))
            vectors.append(tap("image_vector", x))
        if tokens is not None:
            x = self._projected("text_projection", self.text(tokens, key_mask))
            vectors.append(tap("text_vector", x))
        if not vectors:
            raise ValueError("CLIP is called with neither images nor tokens; give one or both.")
        if len(vectors) == 1:
            return vectors[0]
        scale = jnp.exp(self.param("log_scale", nn.initializers.zeros, ()))
        return tap("logits", scale * (vectors[0] @ vectors[1].T))

    def _projected(self, name: str, x: Array) -> Array:
        x = nn.Dense(self.features, use_bias=False, name=name)(x)
        return x / jnp.linalg.norm(x, axis=-1, keepdims=True)


def _reader(checkpoint: Checkpoint) -> ImageTextReader:
    text = dataclasses.replace(checkpoint, config=setting(checkpoint.config, "text_config"))
    return ImageTextReader(text_reader(text), image_reader(checkpoint))


def _layers(config: Config, is_causal: bool) -> tuple[VitLayer, ...]:
    layer = VitLayer(
        num_heads=setting(config, "num_attention_heads"),
        mlp_dim=setting(config, "intermediate_size"),
        activation=activation(setting(config, "hidden_act", default="quick_gelu")),
        epsilon=setting(config, "layer_norm_eps", default=1e-5),
        is_causal=is_causal,
    )
    return tuple(layer.clone() for _ in range(setting(config, "num_hidden_layers")))


def _from_config(config: Config) -> Clip:
    text, vision = (setting(config, f"{name}_config") for name in ("text", "vision"))
    end = setting(text, "eos_token_id", default=_LARGEST)
    return Clip(
        text=ClipText(
            vocabulary=setting(text, "vocab_size"),
            positions=setting(text, "max_position_embeddings"),
            features=setting(text, "hidden_size"),
            layers=_layers(text, is_causal=True),
            epsilon=setting(text, "layer_norm_eps", default=1e-5),
            end=None if end == _LARGEST else end,
        ),
        vision=ClipVision(
            PatchTokens(
                setting(vision, "hidden_size"),
                patch=pair_of(setting(vision, "patch_size")),
                grid=grid_of(vision),
                use_bias=False,
            ),
            layers=_layers(vision, is_causal=False),
            epsilon=setting(vision, "layer_norm_eps", default=1e-5),
        ),
        features=setting(config, "projection_dim"),
    )


def _examples(config: Config) -> dict[str, jax.ShapeDtypeStruct]:
    return some_tokens(config) | an_image(setting(config, "vision_config"))


_LAYER = {
    "self_attn.q_proj": ("attention/query", "kernel"),
    "self_attn.k_proj": ("attention/key", "kernel"),
    "self_attn.v_proj": ("attention/value", "kernel"),
    "self_attn.out_proj": ("attention/out", "out_kernel"),
    "mlp.fc1": ("mlp_in", "kernel"),
    "mlp.fc2": ("mlp_out", "kernel"),
}
_NORMS = {
    **{
        f"{tower}_model.encoder.layers.*.layer_norm{i}": f"{tower}/layers_*/{part}_norm"
        for tower in ("text", "vision")
        for i, part in ((1, "attention"), (2, "mlp"))
    },
    "text_model.final_layer_norm": "text/norm",
    "vision_model.pre_layrnorm": "vision/embedding_norm",
    "vision_model.post_layernorm": "vision/norm",
}


def _tower(name: str) -> Table:
    """Return the table of the dense layers of an encoder."""
    table: dict[str, Any] = {}
    for theirs, (ours, kind) in _LAYER.items():
        start, path = f"{name}_model.encoder.layers.*.{theirs}", f"{name}/layers_*/{ours}"
        table[f"{start}.weight"] = f"{path}/kernel", kind
        table[f"{start}.bias"] = f"{path}/bias", "same"
    return table


_TEXT, _VISION = "text_model.embeddings", "vision_model.embeddings"
_TABLE: Table = {
    f"{_TEXT}.token_embedding.weight": ("text/token_embedding/embedding", "same"),
    f"{_TEXT}.position_embedding.weight": ("text/position_embedding/embedding", "same"),
    f"{_VISION}.class_embedding": ("vision/tokens/class_token", "same"),
    f"{_VISION}.position_embedding.weight": ("vision/tokens/positions", "same"),
    f"{_VISION}.patch_embedding.weight": ("vision/tokens/patches/kernel", "window"),
    "text_projection.weight": ("text_projection/kernel", "kernel"),
    "visual_projection.weight": ("image_projection/kernel", "kernel"),
    "logit_scale": ("log_scale", "same"),
    **_tower("text"),
    **_tower("vision"),
    **{f"{k}.weight": (f"{v}/scale", "same") for k, v in _NORMS.items()},
    **{f"{k}.bias": (f"{v}/bias", "same") for k, v in _NORMS.items()},
}
_BUFFERS = (r"(text|vision)_model\.embeddings\.position_ids",)

CLIP = Family("clip", _from_config, _TABLE, "", _BUFFERS, example=_examples, reader=_reader)

"""ViT, DeiT and DINOv2: encoders of images that normalize before each part."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Bool, Float

from attn_jax.hooks import tap
from attn_jax.pretrained.errors import PretrainedError
from attn_jax.pretrained.families.family import Config, Family, setting
from attn_jax.pretrained.families.image_heads import ClassHead, DistilledHead, Head, MeanHead
from attn_jax.pretrained.families.layers import run_layers
from attn_jax.pretrained.families.parts import HeadAttention, activation, layer_norm
from attn_jax.pretrained.families.patches import PatchTokens, resize_antialiased, resize_bicubic
from attn_jax.pretrained.reading.checkpoint import Checkpoint
from attn_jax.pretrained.reading.convert import Table
from attn_jax.pretrained.reading.images import ImageReader


class VitLayer(nn.Module):
    """One layer: attention and a feed-forward network, each of normalized states and added.

    Attributes:
        num_heads: The heads.
        mlp_dim: The features inside the feed-forward network.
        activation: Its activation.
        epsilon: Added to variances.
        is_scaled: Whether a learned scale of each feature follows either part.
        is_gated: Whether half of the features inside the feed-forward network gate the others.
        is_causal: Whether each token sees only itself and those before it.
    """

    num_heads: int
    mlp_dim: int
    activation: Callable[[Array], Array] = nn.gelu
    epsilon: float = 1e-12
    is_scaled: bool = False
    is_gated: bool = False
    is_causal: bool = False

    @nn.compact
    def __call__(
        self, x: Float[Array, "*b t f"], key_mask: Bool[Array, "*b t"] | None = None
    ) -> Float[Array, "*b t f"]:
        """Apply the layer to `(*b, tokens, features)`."""
        x = tap("residual", x)
        attend = HeadAttention(
            self.num_heads, causal=self.is_causal, is_scaled=self.is_scaled, name="attention"
        )
        attended = attend(layer_norm(self.epsilon, "attention_norm")(x), key_mask=key_mask)
        x = tap("residual_mid", x + attended)
        normalized = layer_norm(self.epsilon, "mlp_norm")(x)
        out = nn.Dense(x.shape[-1], name="mlp_out")(self._hidden(normalized))
        if self.is_scaled:
            scale = self.param("mlp_scale", nn.initializers.ones, out.shape[-1:])
            out = out * jnp.broadcast_to(scale, out.shape)
        return tap("residual_out", x + tap("mlp", out))

    def _hidden(self, x: Array) -> Array:
        if not self.is_gated:
            return self.activation(nn.Dense(self.mlp_dim, name="mlp_in")(x))
        gate, hidden = jnp.split(nn.Dense(2 * self.mlp_dim, name="mlp_in")(x), 2, axis=-1)
        return self.activation(gate) * hidden


class Vit(nn.Module):
    """A Vision Transformer.

    Hook points beside those of attention (`layers.3.attention.weights`): `embedding`, in each layer
    `residual` (what enters it), `residual_mid` (after attention), `mlp` and `residual_out`, and,
    with a head, `logits`. Tokens are the class token, a distillation token or registers where the
    model has them, and the patches row by row.

    Attributes:
        tokens: Makes the tokens of an image.
        stack: The layers, from the first to the last.
        epsilon: Added to variances.
        head: Returns the logits of the classes; without one, the output is the last states.
        scan: Whether the layers run as one scan over stacked parameters.

    References:
        Dosovitskiy et al., "An Image is Worth 16x16 Words", 2021. https://arxiv.org/abs/2010.11929
        Touvron et al., "Training data-efficient image transformers", 2021.
        https://arxiv.org/abs/2012.12877
        Oquab et al., "DINOv2", 2024. https://arxiv.org/abs/2304.07193
    """

    tokens: PatchTokens
    stack: tuple[VitLayer, ...]
    epsilon: float = 1e-12
    head: Head | None = None
    scan: bool = False

    @nn.compact
    def __call__(
        self, images: Float[Array, "*b height width 3"]
    ) -> Float[Array, "*b t f"] | Float[Array, "*b n"]:
        """Return the last hidden states, `(*b, tokens, features)`, or logits, `(*b, classes)`.

        Args:
            images: `(*b, height, width, 3)`, as the checkpoint's preprocessing makes them.
        """
        x = tap("embedding", self.tokens(images))
        x = run_layers(self, self.stack, x, scan=self.scan)
        x = layer_norm(self.epsilon, "norm")(x)
        return x if self.head is None else tap("logits", self.head(x, self.tokens.prefix_tokens))


def _from_config(config: Config) -> Vit:
    if not config.get("qkv_bias", True):
        raise PretrainedError("config.json says qkv_bias = False; only True is supported.")
    family = config["model_type"]
    is_dino, features = family.startswith("dinov2"), setting(config, "hidden_size")
    is_gated = bool(config.get("use_swiglu_ffn"))
    epsilon = setting(config, "layer_norm_eps", default=1e-6 if is_dino else 1e-12)
    layer = VitLayer(
        num_heads=setting(config, "num_attention_heads"),
        mlp_dim=_mlp_dim(config, features),
        activation=nn.silu if is_gated else activation(setting(config, "hidden_act")),
        epsilon=epsilon,
        is_scaled=is_dino,
        is_gated=is_gated,
    )
    tokens = PatchTokens(
        features,
        patch=pair_of(setting(config, "patch_size")),
        grid=grid_of(config),
        class_tokens=("class", "distillation") if family == "deit" else ("class",),
        registers=setting(config, "num_register_tokens", default=0),
        resize=resize_antialiased if family == "dinov2_with_registers" else resize_bicubic,
    )
    stack = (layer,) * setting(config, "num_hidden_layers")
    return Vit(tokens, stack, epsilon, _head(config))


def _mlp_dim(config: Config, features: int) -> int:
    if not config["model_type"].startswith("dinov2"):
        return setting(config, "intermediate_size")
    size = int(features * setting(config, "mlp_ratio"))
    return (int(size * 2 / 3) + 7) // 8 * 8 if config.get("use_swiglu_ffn") else size


def pair_of(size: int | list[int]) -> tuple[int, int]:
    """Return a height and a width, which a configuration may give as one number."""
    height, width = (size, size) if isinstance(size, int) else size
    return height, width


def grid_of(config: Config) -> tuple[int, int]:
    """Return the rows and columns of patches in the images of the training."""
    image, patch = (pair_of(setting(config, name)) for name in ("image_size", "patch_size"))
    return image[0] // patch[0], image[1] // patch[1]


def _head(config: Config) -> Head | None:
    architecture = next(iter(config.get("architectures") or ()), "")
    if "ForImageClassification" not in architecture:
        return None
    classes = len(config["id2label"]) if "id2label" in config else 2
    if architecture.endswith("WithTeacher"):
        return DistilledHead(classes)
    return MeanHead(classes) if architecture.startswith("Dinov2") else ClassHead(classes)


def an_image(config: Config) -> dict[str, jax.ShapeDtypeStruct]:
    """Return the shapes of arguments that initialize a model of images."""
    height, width = pair_of(setting(config, "patch_size"))
    return {"images": jax.ShapeDtypeStruct((1, height, width, 3), jnp.float32)}


def _square_reader(checkpoint: Checkpoint) -> ImageReader:
    return ImageReader.from_preprocessing(checkpoint.preprocessing, is_square=True)


def image_reader(checkpoint: Checkpoint) -> ImageReader:
    """Return the reader of images whose size, if it is one number, is that of the shorter edge."""
    return ImageReader.from_preprocessing(checkpoint.preprocessing, is_square=False)


_TOKENS: Table = {
    "embeddings.cls_token": ("tokens/class_token", "same"),
    "embeddings.distillation_token": ("tokens/distillation_token", "same"),
    "embeddings.register_tokens": ("tokens/registers", "same"),
    "embeddings.position_embeddings": ("tokens/positions", "same"),
    "embeddings.patch_embeddings.projection.weight": ("tokens/patches/kernel", "window"),
    "embeddings.patch_embeddings.projection.bias": ("tokens/patches/bias", "same"),
}
_DENSE = {
    "encoder.layer.*.attention.attention.query": "layers_*/attention/query",
    "encoder.layer.*.attention.attention.key": "layers_*/attention/key",
    "encoder.layer.*.attention.attention.value": "layers_*/attention/value",
    "encoder.layer.*.intermediate.dense": "layers_*/mlp_in",
    "encoder.layer.*.output.dense": "layers_*/mlp_out",
    "encoder.layer.*.mlp.fc1": "layers_*/mlp_in",
    "encoder.layer.*.mlp.fc2": "layers_*/mlp_out",
    "encoder.layer.*.mlp.weights_in": "layers_*/mlp_in",
    "encoder.layer.*.mlp.weights_out": "layers_*/mlp_out",
    "classifier": "head/class",
    "cls_classifier": "head/class",
    "distillation_classifier": "head/distillation",
}
_NORMS = {
    "encoder.layer.*.layernorm_before": "layers_*/attention_norm",
    "encoder.layer.*.layernorm_after": "layers_*/mlp_norm",
    "encoder.layer.*.norm1": "layers_*/attention_norm",
    "encoder.layer.*.norm2": "layers_*/mlp_norm",
    "layernorm": "norm",
}
_OUT = "encoder.layer.*.attention.output.dense"
_TABLE: Table = {
    **_TOKENS,
    f"{_OUT}.weight": ("layers_*/attention/out/kernel", "out_kernel"),
    f"{_OUT}.bias": ("layers_*/attention/out/bias", "same"),
    "encoder.layer.*.layer_scale1.lambda1": ("layers_*/attention/scale", "same"),
    "encoder.layer.*.layer_scale2.lambda1": ("layers_*/mlp_scale", "same"),
    **{f"{k}.weight": (f"{v}/kernel", "kernel") for k, v in _DENSE.items()},
    **{f"{k}.bias": (f"{v}/bias", "same") for k, v in _DENSE.items()},
    **{f"{k}.weight": (f"{v}/scale", "same") for k, v in _NORMS.items()},
    **{f"{k}.bias": (f"{v}/bias", "same") for k, v in _NORMS.items()},
}
# What training needed alone.
_IGNORED = (r"embeddings\.mask_token", r"pooler\..*", r"decoder\..*")

VIT, DEIT, DINOV2, DINOV2_WITH_REGISTERS = (
    Family(
        model_type,
        _from_config,
        _TABLE,
        f"{model_type}.",
        _IGNORED,
        example=an_image,
        reader=reader,
    )
    for model_type, reader in (
        ("vit", _square_reader),
        ("deit", _square_reader),
        ("dinov2", image_reader),
        ("dinov2_with_registers", image_reader),
    )
)

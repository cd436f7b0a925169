"""Image classifiers whose pooling is attention: where they look is what they classify by."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from attn_jax.nn import AdditiveAttention, AttentionPooling
from attn_jax.nn.attention import DType


def image_patches(
    image: Float[Array, "*b height width c"], size: int, stride: int
) -> Float[Array, "*b gh gw p"]:
    """Cut an image into patches, the border filled up with zeros.

    Followed by a dense layer this is a convolution, written as one matrix product: on a CPU, XLA
    runs a convolution inside a loop several times slower, a matrix product not.

    Args:
        image: `(*b, height, width, c)`.
        size: Side of a patch, in pixels; larger than `stride`, patches overlap.
        stride: Pixels from one patch to the next.

    Returns:
        `(*b, ceil(height / stride), ceil(width / stride), size * size * c)`.

    Example:
        >>> image_patches(jnp.ones((28, 28, 1)), size=5, stride=2).shape
        (14, 14, 25)
    """
    height, width = image.shape[-3:-1]
    grid = [-(-side // stride) for side in (height, width)]
    # As "SAME" padding does it: what is missing is shared between both ends.
    sides = zip(grid, (height, width), strict=True)
    missing = [max(0, (n - 1) * stride + size - side) for n, side in sides]
    around = [(m // 2, m - m // 2) for m in missing]
    image = jnp.pad(image, [(0, 0)] * (image.ndim - 3) + [*around, (0, 0)])
    rows, columns = ((n - 1) * stride + 1 for n in grid)
    shifted = [
        image[..., i : i + rows : stride, j : j + columns : stride, :]
        for i in range(size)
        for j in range(size)
    ]
    return jnp.concatenate(shifted, axis=-1)


class PatchStem(nn.Module):
    """Turn an image into a grid of tokens by dense layers on overlapping patches.

    Attributes:
        features: Features after each layer.
        sizes: Side of each layer's patches.
        strides: Steps of each layer's patches.
    """

    features: tuple[int, ...] = (32, 64, 128)
    sizes: tuple[int, ...] = (5, 3, 3)
    strides: tuple[int, ...] = (2, 2, 1)

    @nn.compact
    def __call__(self, image: Float[Array, "*b height width c"]) -> Float[Array, "*b gh gw d"]:
        """Embed: `(*b, height, width, c)` to `(*b, gh, gw, features[-1])`."""
        x = image
        for features, size, stride in zip(self.features, self.sizes, self.strides, strict=True):
            x = image_patches(x, size, stride)
            x = nn.relu(nn.Dense(features, dtype=image.dtype)(x))
        return x


class RowStem(nn.Module):
    """Take each row of an image for a token, embedded by one dense layer.

    Attention pools a set: it cannot know which row is which unless the token says so.

    Attributes:
        features: Features of a token.
        positions: Whether each row has a learned bias of its own in place of a shared one.
    """

    features: int = 128
    positions: bool = True

    @nn.compact
    def __call__(self, image: Float[Array, "*b height width c"]) -> Float[Array, "*b height 1 d"]:
        """Embed: `(*b, height, width, c)` to `(*b, height, 1, features)`."""
        rows = image.reshape(*image.shape[:-2], 1, -1)
        x = nn.Dense(self.features, use_bias=False, dtype=image.dtype)(rows)
        shape = (image.shape[-3] if self.positions else 1, 1, self.features)
        bias = self.param("bias", nn.initializers.zeros, shape, jnp.float32)
        return nn.relu(x + jnp.broadcast_to(bias.astype(x.dtype), x.shape))


class ConvStem(nn.Module):
    """Turn an image into a grid of tokens by convolutions, each followed by pooling.

    Attributes:
        features: Features after each 3×3 convolution.
        pool: After which convolutions the grid is halved.
    """

    features: tuple[int, ...] = (16, 32, 64)
    pool: tuple[bool, ...] = (True, True, False)

    @nn.compact
    def __call__(self, image: Float[Array, "*b height width c"]) -> Float[Array, "*b gh gw d"]:
        """Embed: `(*b, height, width, c)` to `(*b, gh, gw, features[-1])`."""
        x = image
        for features, pool in zip(self.features, self.pool, strict=True):
            x = nn.relu(nn.Conv(features, (3, 3), dtype=image.dtype)(x))
            x = nn.max_pool(x, (2, 2), strides=(2, 2)) if pool else x
        return x


class ImageClassifier(nn.Module):
    """A stem makes tokens of an image, attention pools them, a linear layer names the class.

    Each token is told its place by a learned vector, for attention pools a set.

    Attributes:
        stem: From `(*b, height, width, 1)` to a grid of tokens, `(*b, gh, gw, d)`.
        attention: Any attention of `attn_jax.nn`; its weights say where the model looked.
        num_classes: Filled from the task.
        dropout_rate: The share of pooled features dropped in training.
        dtype: In which type to compute; parameters and logits stay float32.
    """

    stem: nn.Module = PatchStem()
    attention: nn.Module = AdditiveAttention()
    num_classes: int | None = None
    dropout_rate: float = 0.1
    dtype: DType = "float32"

    @nn.compact
    def __call__(
        self, image: Float[Array, "*b height width"], *, train: bool = False
    ) -> Float[Array, "*b classes"]:
        """Classify: `(*b, height, width)` in [0, 1] to logits `(*b, num_classes)`.

        Raises:
            ValueError: If the number of classes was not filled in.
        """
        if self.num_classes is None:
            raise ValueError(
                "num_classes=None must be a number before the model is used; fill it from the task "
                "by model.clone(**task.sizes)."
            )
        grid = self.stem(image[..., None].astype(self.dtype))
        shape = grid.shape[-3:]
        position = self.param("position", nn.initializers.normal(0.02), shape, jnp.float32)
        grid = nn.LayerNorm(dtype=grid.dtype)(
            grid + jnp.broadcast_to(position, grid.shape).astype(grid.dtype)
        )
        tokens = grid.reshape(*grid.shape[:-3], -1, grid.shape[-1])
        pooled = AttentionPooling(self.attention, name="pooling")(tokens, deterministic=not train)
        pooled = nn.Dropout(self.dropout_rate, deterministic=not train)(pooled)
        return nn.Dense(self.num_classes, name="head")(pooled.astype(jnp.float32))

    def grid(self, image_shape: tuple[int, int]) -> tuple[int, int]:
        """The rows and columns of tokens that an image of this shape becomes."""
        image = jnp.zeros((*image_shape, 1))
        stem = self.stem.clone(parent=None)
        tokens, _ = jax.eval_shape(stem.init_with_output, jax.random.key(0), image)
        return tokens.shape[:2]

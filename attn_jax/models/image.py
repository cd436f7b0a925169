"""Image classifiers that pool their tokens by attention."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from attn_jax.models.sizes import filled
from attn_jax.nn import AdditiveAttention, AttentionPooling
from attn_jax.nn.attention import DType


def image_patches(
    image: Float[Array, "*b height width c"], size: int, stride: int
) -> Float[Array, "*b gh gw p"]:
    """Cut an image into patches, with zeros beyond its border.

    Followed by a dense layer this is a convolution, written as one matrix product: on a CPU, XLA
    runs a convolution several times slower inside a loop than outside, but not a matrix product.

    With an even `stride` that divides the sides, patches of an even size are centered on the part
    of the image that their place in the grid stands for. Those of an odd size lie half a pixel to
    the lower right of it, and every later layer doubles the shift with its stride: attention over
    such tokens seems to lie to the upper left of what they show.

    Args:
        image: `(*b, height, width, c)`.
        size: The side of a patch in pixels; patches overlap if it is larger than `stride`.
        stride: The pixels from one patch to the next.

    Returns:
        `(*b, ceil(height / stride), ceil(width / stride), size * size * c)`.

    Example:
        >>> image_patches(jnp.ones((28, 28, 1)), size=5, stride=2).shape
        (14, 14, 25)
    """
    height, width = image.shape[-3:-1]
    grid = [-(-side // stride) for side in (height, width)]
    # Like "SAME" padding, which splits the missing pixels between both ends.
    sides = zip(grid, (height, width), strict=True)
    missing = [max(0, (n - 1) * stride + size - side) for n, side in sides]
    padding = [(m // 2, m - m // 2) for m in missing]
    image = jnp.pad(image, [(0, 0)] * (image.ndim - 3) + [*padding, (0, 0)])
    rows, columns = ((n - 1) * stride + 1 for n in grid)
    shifted = [
        image[..., i : i + rows : stride, j : j + columns : stride, :]
        for i in range(size)
        for j in range(size)
    ]
    return jnp.concatenate(shifted, axis=-1)


class PatchStem(nn.Module):
    """A stem that makes a grid of tokens by dense layers on overlapping patches.

    Attributes:
        features: The features after each layer.
        sizes: The side of each layer's patches.
        strides: The stride of each layer's patches.
        residual: Whether each layer is normalized, and adds its input where that has its shape.
    """

    features: tuple[int, ...] = (32, 64, 128)
    sizes: tuple[int, ...] = (4, 4, 3)
    strides: tuple[int, ...] = (2, 2, 1)
    residual: bool = False

    @nn.compact
    def __call__(self, image: Float[Array, "*b height width c"]) -> Float[Array, "*b gh gw d"]:
        """Embed `(*b, height, width, c)` as `(*b, gh, gw, features[-1])`."""
        x = image
        for features, size, stride in zip(self.features, self.sizes, self.strides, strict=True):
            made = nn.Dense(features, dtype=image.dtype)(image_patches(x, size, stride))
            made = nn.LayerNorm(dtype=image.dtype)(made) if self.residual else made
            made = nn.relu(made)
            x = made + x if self.residual and made.shape == x.shape else made
        return x


class RowStem(nn.Module):
    """A stem that makes a token of each row of an image by one dense layer.

    Attention pools a set, so only the token itself can say which row it is.

    Attributes:
        features: The features of a token.
        positions: Whether each row has a learned bias of its own instead of a shared one.
    """

    features: int = 128
    positions: bool = True

    @nn.compact
    def __call__(self, image: Float[Array, "*b height width c"]) -> Float[Array, "*b height 1 d"]:
        """Embed `(*b, height, width, c)` as `(*b, height, 1, features)`."""
        rows = image.reshape(*image.shape[:-2], 1, -1)
        x = nn.Dense(self.features, use_bias=False, dtype=image.dtype)(rows)
        shape = (image.shape[-3] if self.positions else 1, 1, self.features)
        bias = self.param("bias", nn.initializers.zeros, shape, jnp.float32)
        return nn.relu(x + jnp.broadcast_to(bias.astype(x.dtype), x.shape))


class ConvStem(nn.Module):
    """A stem that makes a grid of tokens by convolutions.

    Attributes:
        features: The features after each 3×3 convolution.
        pool: Whether max-pooling halves the grid after each convolution.
    """

    features: tuple[int, ...] = (16, 32, 64)
    pool: tuple[bool, ...] = (True, True, False)

    @nn.compact
    def __call__(self, image: Float[Array, "*b height width c"]) -> Float[Array, "*b gh gw d"]:
        """Embed `(*b, height, width, c)` as `(*b, gh, gw, features[-1])`."""
        x = image
        for features, pool in zip(self.features, self.pool, strict=True):
            x = nn.relu(nn.Conv(features, (3, 3), dtype=image.dtype)(x))
            x = nn.max_pool(x, (2, 2), strides=(2, 2)) if pool else x
        return x


class ImageClassifier(nn.Module):
    """A stem that makes tokens of an image, attention that pools them, and a linear layer.

    Attention pools a set, so a learned vector for its position is added to each token.

    Attributes:
        stem: Maps `(*b, height, width, 1)` to a grid of tokens, `(*b, gh, gw, d)`.
        attention: Any attention of `attn_jax.nn`; its weights show where the model attends.
        num_classes: The number of classes; filled in from the task.
        hidden_dim: The features of a layer between the pooled features and the last layer; 0 leaves
            it out.
        dropout_rate: The fraction of pooled and hidden features dropped in training.
        dtype: The type to compute in; parameters and logits stay float32.
    """

    stem: nn.Module = PatchStem()
    attention: nn.Module = AdditiveAttention()
    num_classes: int | None = None
    hidden_dim: int = 0
    dropout_rate: float = 0.1
    dtype: DType = "float32"

    @nn.compact
    def __call__(
        self, image: Float[Array, "*b height width"], *, train: bool = False
    ) -> Float[Array, "*b classes"]:
        """Map images `(*b, height, width)` in [0, 1] to logits `(*b, num_classes)`.

        Raises:
            ValueError: If the number of classes is not filled in.
        """
        num_classes = filled(self, "num_classes")
        grid = self.stem(image[..., None].astype(self.dtype))
        shape = grid.shape[-3:]
        position = self.param("position", nn.initializers.normal(0.02), shape, jnp.float32)
        grid = nn.LayerNorm(dtype=grid.dtype)(
            grid + jnp.broadcast_to(position, grid.shape).astype(grid.dtype)
        )
        tokens = grid.reshape(*grid.shape[:-3], -1, grid.shape[-1])
        pooled = AttentionPooling(self.attention, name="pooling")(tokens, deterministic=not train)
        dropout = nn.Dropout(self.dropout_rate, deterministic=not train)
        pooled = dropout(pooled)
        if self.hidden_dim:
            pooled = dropout(nn.relu(nn.Dense(self.hidden_dim, name="hidden")(pooled)))
        return nn.Dense(num_classes, name="head")(pooled.astype(jnp.float32))

    def grid(self, image_shape: tuple[int, int]) -> tuple[int, int]:
        """Return the rows and columns of tokens that the stem makes of an image of this shape."""
        image = jnp.zeros((*image_shape, 1))
        stem = self.stem.clone(parent=None)
        tokens, _ = jax.eval_shape(stem.init_with_output, jax.random.key(0), image)
        return tokens.shape[:2]

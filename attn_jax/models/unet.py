"""A U-Net for segmentation, whose skip connections may have attention gates."""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from attn_jax.nn import AttentionGate


class ConvBlock(nn.Module):
    """Two 3×3 convolutions, each followed by normalization and a rectifier.

    Attributes:
        features: The features that each convolution makes.
    """

    features: int = 8

    @nn.compact
    def __call__(self, x: Float[Array, "n height width c"]) -> Float[Array, "n height width d"]:
        """Transform the features of a grid."""
        for _ in range(2):
            x = nn.Conv(self.features, (3, 3), use_bias=False)(x)
            x = nn.relu(nn.GroupNorm(num_groups=1)(x))
        return x


class UNet(nn.Module):
    """A U-Net, which finds the pixels of objects, with attention gates on its skip connections.

    An encoder halves the grid from level to level, and a decoder doubles it again. At each level
    the decoder also takes the encoder's features through a skip connection. A gate multiplies those
    features, at each position, by a number from 0 to 1, which it computes from them and from the
    decoder's coarser features. The hook points are `gates.1.gate`, `gates.2.gate` and so on, by
    level.

    Attributes:
        features: The features of each level, from the finest to the coarsest.
        gated_levels: The levels whose skip connection has a gate. 0 is the finest, which Oktay et
            al. leave without one. With no gates this is the U-Net of Ronneberger et al.

    Example:
        >>> import jax
        >>> model, image = UNet(features=(4, 6, 8), gated_levels=(1,)), jnp.ones((2, 16, 24))
        >>> model.apply(model.init(jax.random.key(0), image), image).shape
        (2, 16, 24)

    References:
        Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image
        Segmentation", 2015, https://arxiv.org/abs/1505.04597; Oktay et al., "Attention U-Net:
        Learning Where to Look for the Pancreas", 2018, https://arxiv.org/abs/1804.03999.
    """

    features: tuple[int, ...] = (8, 16, 32, 64)
    gated_levels: tuple[int, ...] = (1, 2)

    @nn.compact
    def __call__(self, image: Float[Array, "n height width"]) -> Float[Array, "n height width"]:
        """Map images `(n, height, width)` in [0, 1] to the logit of each pixel.

        Raises:
            ValueError: If the sides of the images cannot be halved at each level, or a gated level
                has no skip connection.
        """
        self._check(image.shape[-2:])
        x, skips = image[..., None], []
        for level, features in enumerate(self.features):
            if level:
                skips.append(x)
                x = nn.max_pool(x, (2, 2), strides=(2, 2))
            x = ConvBlock(features, name=f"down_{level}")(x)
        for level in reversed(range(len(skips))):
            features, skip = self.features[level], skips[level]
            if level in self.gated_levels:
                skip = AttentionGate(name=f"gates_{level}")(skip, x)
            doubled = double_grid(nn.Dense(4 * features, name=f"double_{level}")(x))
            x = ConvBlock(features, name=f"up_{level}")(jnp.concatenate([skip, doubled], -1))
        return nn.Dense(1, name="head")(x)[..., 0]

    def _check(self, sides: tuple[int, ...]) -> None:
        step = 2 ** (len(self.features) - 1)
        if any(side % step for side in sides):
            raise ValueError(
                f"images of {sides[0]} by {sides[1]} pixels cannot be halved "
                f"{len(self.features) - 1} times; crop or pad them to multiples of {step}, or give "
                "fewer features."
            )
        wrong = [level for level in self.gated_levels if not 0 <= level < len(self.features) - 1]
        if wrong:
            raise ValueError(
                f"gated_levels={self.gated_levels} names level {wrong[0]}, but the levels with a "
                f"skip connection are 0 to {len(self.features) - 2}."
            )


def double_grid(x: Float[Array, "n height width four_c"]) -> Float[Array, "n height2 width2 c"]:
    """Lay the features of each position out as 2×2 positions.

    After a dense layer this is the 2×2 up-convolution of the U-Net, as one matrix product.

    Args:
        x: `(n, height, width, 4 c)`.

    Returns:
        `(n, 2 height, 2 width, c)`.

    Example:
        >>> double_grid(jnp.arange(4.0).reshape(1, 1, 1, 4))[0, ..., 0].tolist()
        [[0.0, 1.0], [2.0, 3.0]]
    """
    n, height, width, features = x.shape
    parts = x.reshape(n, height, width, 2, 2, features // 4)
    return parts.swapaxes(2, 3).reshape(n, 2 * height, 2 * width, features // 4)

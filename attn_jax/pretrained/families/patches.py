"""From an image to tokens: its patches, and the tokens before them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array
from jaxtyping import Float

Resize = Callable[[Array, tuple[int, int]], Array]
"""Resizes position embeddings, `(rows, columns, features)`, to another grid."""


def resize_bicubic(positions: Array, grid: tuple[int, int]) -> Array:
    """Resize position embeddings as PyTorch's bicubic interpolation does.

    Its kernel has a = -0.75, pixels have their centers at halves, and those outside the grid repeat
    the ones at its edge.

    Args:
        positions: `(rows, columns, features)`.
        grid: The rows and columns to resize to.
    """
    rows, columns = (
        jnp.asarray(_bicubic_matrix(old, new), positions.dtype)
        for old, new in zip(positions.shape[:2], grid, strict=True)
    )
    return jnp.einsum("rR,cC,RCf->rcf", rows, columns, positions, precision="highest")


def resize_antialiased(positions: Array, grid: tuple[int, int]) -> Array:
    """Resize position embeddings with a wider kernel where the grid shrinks, and a = -0.5.

    Args:
        positions: `(rows, columns, features)`.
        grid: The rows and columns to resize to.
    """
    return jax.image.resize(
        positions, (*grid, positions.shape[-1]), "cubic", precision=jax.lax.Precision.HIGHEST
    )


def _bicubic_matrix(old: int, new: int, a: float = -0.75) -> np.ndarray:
    """Return the weight of each old cell in each new one, `(new, old)`."""
    center = (np.arange(new) + 0.5) * old / new - 0.5
    matrix = np.zeros((new, old))
    for offset in range(-1, 3):
        cell = np.floor(center).astype(int) + offset
        x = np.abs(center - cell)
        near = (a + 2) * x**3 - (a + 3) * x**2 + 1
        far = a * (x**3 - 5 * x**2 + 8 * x - 4)
        weight = np.where(x <= 1, near, far)
        np.add.at(matrix, (np.arange(new), cell.clip(0, old - 1)), weight)
    return matrix


class PatchTokens(nn.Module):
    """The tokens of an image: class tokens, registers, and patches row by row.

    Attributes:
        features: The features of a token.
        patch: The height and width of a patch in pixels.
        grid: The rows and columns of patches in the images of the training.
        class_tokens: The names of the tokens before the patches that have positions.
        registers: The number of tokens after them that have none.
        use_bias: Whether the projection of the patches has a bias.
        resize: Resizes the positions for an image of another size.

    References:
        Dosovitskiy et al., "An Image is Worth 16x16 Words", 2021. https://arxiv.org/abs/2010.11929
        Darcet et al., "Vision Transformers Need Registers", 2024. https://arxiv.org/abs/2309.16588
    """

    features: int
    patch: tuple[int, int]
    grid: tuple[int, int]
    class_tokens: tuple[str, ...] = ("class",)
    registers: int = 0
    use_bias: bool = True
    resize: Resize = resize_bicubic

    @property
    def prefix_tokens(self) -> int:
        """The number of tokens before the patches."""
        return len(self.class_tokens) + self.registers

    @nn.compact
    def __call__(self, images: Float[Array, "*b height width 3"]) -> Float[Array, "*b t f"]:
        """Return the tokens of images, `(*b, tokens, features)`.

        Rows and columns of pixels that fill no whole patch are left out.

        Raises:
            ValueError: If an image is smaller than a patch.
        """
        *batch, height, width, channels = images.shape
        (rows, columns), (high, wide) = self._grid_of(height, width), self.patch
        images = images[..., : rows * high, : columns * wide, :]
        cells = images.reshape(*batch, rows, high, columns, wide, channels).swapaxes(-4, -3)
        cells = cells.reshape(*batch, rows * columns, high, wide, channels)
        project = nn.DenseGeneral(
            self.features, axis=(-3, -2, -1), use_bias=self.use_bias, name="patches"
        )
        first = [self._learned(f"{name}_token", 1) for name in self.class_tokens]
        positions = self._positions((rows, columns))
        tokens = [*(self._repeat(token, batch) for token in first), project(cells)]
        x = jnp.concatenate(tokens, axis=-2)
        x = x + self._repeat(positions, batch)
        if not self.registers:
            return x
        registers = self._repeat(self._learned("registers", self.registers), batch)
        before = len(self.class_tokens)
        return jnp.concatenate([x[..., :before, :], registers, x[..., before:, :]], axis=-2)

    def _grid_of(self, height: int, width: int) -> tuple[int, int]:
        rows, columns = height // self.patch[0], width // self.patch[1]
        if not rows or not columns:
            raise ValueError(
                f"an image of {height} × {width} pixels is smaller than a patch of "
                f"{self.patch[0]} × {self.patch[1]}; enlarge it."
            )
        return rows, columns

    def _learned(self, name: str, count: int) -> Array:
        return self.param(name, nn.initializers.normal(0.02), (1, count, self.features))

    def _repeat(self, tokens: Array, batch: list[int]) -> Array:
        return jnp.broadcast_to(tokens[0], (*batch, *tokens.shape[1:]))

    def _positions(self, grid: tuple[int, int]) -> Array:
        first, (rows, columns) = len(self.class_tokens), self.grid
        positions = self._learned("positions", first + rows * columns)
        if grid == self.grid:
            return positions
        patches = positions[0, first:].reshape(rows, columns, self.features)
        patches = self.resize(patches, grid).reshape(1, -1, self.features)
        return jnp.concatenate([positions[:, :first], patches], axis=1)

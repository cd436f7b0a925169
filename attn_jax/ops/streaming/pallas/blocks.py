"""Blocks of one head, read from device memory inside a Pallas kernel."""

import dataclasses
from typing import Any

import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as mosaic
from jax.typing import ArrayLike

from attn_jax.ops.streaming.blocks import Grid


@dataclasses.dataclass(frozen=True)
class RefBlocks(Grid):
    """A grid whose arrays are Pallas refs, to a whole sequence or to one block.

    A ref with one number for each token is `(1, tokens)`.

    Attributes:
        tf32x3: Whether a product in float32 is made of three in TF32, for tensor cores.
    """

    tf32x3: bool = False

    def product(self, axes: str, one: Array, other: Array) -> Array:
        """Return a matrix product, summed in float32."""
        if not self.tf32x3 or one.dtype != jnp.float32:
            return super().product(axes, one, other)
        return jnp.einsum(axes, one, other, precision=lax.DotAlgorithmPreset.TF32_TF32_F32_X3)

    def rows(self, array: Any, i: ArrayLike) -> Array:
        """Return the part of a ref of queries that is in a block."""
        return part(array, i, self.block[0])

    def columns(self, array: Any, j: ArrayLike) -> Array:
        """Return the part of a ref of keys that is in a block."""
        return part(array, j, self.block[1])

    def cut(self, array: Any, i: ArrayLike, j: ArrayLike) -> Array:
        """Return the part of a bias, the same for all queries, that is in a block."""
        return part(array, j, self.block[1])[None, :]


@dataclasses.dataclass(frozen=True)
class TiledRefBlocks(RefBlocks):
    """Ref blocks, with the queries of each tile filled up to whole blocks.

    Attributes:
        tiles: The number of tiles along the queries.
    """

    tiles: int = 1

    @property
    def blocks_per_tile(self) -> int:
        """The number of blocks that the longest tile fills."""
        return -(-self.num_queries // (self.tiles * self.block[0]))

    @property
    def blocks(self) -> tuple[int, int]:
        """The number of blocks along queries and keys."""
        return self.tiles * self.blocks_per_tile, super().blocks[1]

    def first(self, tile: ArrayLike) -> Array:
        """Return the number of the first query in a tile."""
        return lax.div(tile * self.num_queries, self.tiles)

    def queries(self, i: ArrayLike) -> Array:
        """Return the numbers of the queries in a block."""
        tile, inside = lax.div(i, self.blocks_per_tile), lax.rem(i, self.blocks_per_tile)
        return jnp.arange(self.block[0]) + self.first(tile) + inside * self.block[0]


class HbmRef:
    """A ref in HBM, which a TPU does not compute on; what is read of it is copied to VMEM first."""

    def __init__(self, ref: Any) -> None:
        """Wrap a ref."""
        self.ref, self.shape = ref, ref.shape

    def __getitem__(self, index: Any) -> Array:
        """Copy a part."""
        part = self.ref.at[index]

        def read(buffer: Any) -> Array:
            mosaic.sync_copy(part, buffer)
            return buffer[...]

        return pl.run_scoped(read, mosaic.VMEM(part.shape, part.dtype))


def part(array: Any, number: Any, size: int) -> Array:
    """Read a block of tokens; where there is only one, the whole ref."""
    is_vector = array.shape[0] == 1
    is_whole = array.shape[1 if is_vector else 0] == size
    tokens = slice(None) if is_whole else pl.ds(pl.multiple_of(number * size, size), size)
    return array[0, tokens] if is_vector else array[tokens, :]

"""One head of attention, block by block: the order of the blocks, and the scores of one.

A block is some queries times some keys. Blocks that causality or a window hides whole are never
visited; these and the ends of the sequences are checked only in the blocks that they cross.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

Step = Callable[[ArrayLike, Any, bool], Any]


class Head(NamedTuple):
    """The operands of one head, padded to whole blocks; None where the call has none.

    Attributes:
        query: `(q, d)`, already scaled.
        key: `(k, d)`.
        value: `(k, e)`.
        offset: The position of the first query among the keys.
        mask: `(q or 1, k or 1)`.
        key_mask: `(1, k or 1)`.
        bias: `(q or 1, k or 1)`.
        query_segments: `(q,)`.
        key_segments: `(k,)`.
        sink: The score of the key that has no value.
        tangents: Those of some of the fields, by their names, for a derivative in forward mode.
    """

    query: Array
    key: Array
    value: Array
    offset: Array
    mask: Array | None = None
    key_mask: Array | None = None
    bias: Array | None = None
    query_segments: Array | None = None
    key_segments: Array | None = None
    sink: Array | None = None
    tangents: dict[str, Array] | None = None


@dataclasses.dataclass(frozen=True)
class Grid:
    """The blocks that the map of one head is cut into, and which of them matter.

    Attributes:
        num_queries: q, without padding.
        num_keys: k, without padding.
        block: Queries and keys in a block.
        window: How far queries see to the left and to the right; None is as far as there is.
        softcap: The bound that scores are squashed to, if any.
        scale: Multiplies the products of query and key, whose query may be scaled already.
    """

    num_queries: int
    num_keys: int
    block: tuple[int, int]
    window: tuple[int | None, int | None] = (None, None)
    softcap: float | None = None
    scale: float = 1.0

    @property
    def blocks(self) -> tuple[int, int]:
        """The number of blocks along queries and keys; at least one, of nothing but padding."""
        queries, keys = -(-self.num_queries // self.block[0]), -(-self.num_keys // self.block[1])
        return max(1, queries), max(1, keys)

    @property
    def padding(self) -> tuple[int, int]:
        """The number of queries and keys that fill the last blocks up."""
        queries, keys = (n * size for n, size in zip(self.blocks, self.block, strict=True))
        return queries - self.num_queries, keys - self.num_keys

    def lanes(self, least: int) -> int:
        """Return the number of lanes that keys are dealt to, to find the `least` largest scores.

        They divide a block. Few make long lanes, many a long list of their maxima. Where a block
        is shorter than `least`, each of its keys is a lane.
        """
        most = max(128, 2 ** round(math.log2(max(self.num_keys, 1) * 8) / 2))
        size = self.block[1]
        fitting = [n for n in range(min(most, size), 0, -1) if size % n == 0]
        return fitting[0] if fitting[0] >= least else size

    def zeros(self, head: Head, *shape: int, dtype: Any = jnp.float32) -> Array:
        """Return zeros that vary over devices as the head does; see `plan.varying_zero`."""
        return jnp.zeros(shape, dtype) + (0 * head.offset).astype(dtype)

    def queries(self, i: ArrayLike) -> Array:
        """Return the numbers of the queries in a block."""
        return jnp.arange(self.block[0]) + i * self.block[0]

    def keys(self, j: ArrayLike) -> Array:
        """Return the numbers of the keys in a block."""
        return jnp.arange(self.block[1]) + j * self.block[1]

    def sweep(self, i: ArrayLike, offset: Array, step: Step, carry: Any) -> Any:
        """Visit the blocks of keys that a block of queries may see, in their order.

        Args:
            i: The number of the block of queries.
            offset: The position of the first query among the keys.
            step: Called as `step(j, carry, is_edge)`; at an edge, pairs must be checked.
            carry: The first carry.

        Returns:
            The last carry.
        """
        # Only at the edges of causality, windows and sequences must pairs be compared one by one.
        num_blocks = self.blocks[1]
        if self.window == (None, None) and not self.padding[1]:
            return lax.fori_loop(0, num_blocks, lambda j, c: step(j, c, False), carry)
        start, whole, partial, stop = self._bounds(i, offset)
        carry = lax.fori_loop(start, whole, lambda j, c: step(j, c, True), carry)
        carry = lax.fori_loop(whole, partial, lambda j, c: step(j, c, False), carry)
        return lax.fori_loop(partial, stop, lambda j, c: step(j, c, True), carry)

    def _bounds(self, i: ArrayLike, offset: Array) -> tuple[Array, ...]:
        """Return the first block seen, the first seen whole, and the ends of both ranges."""
        # With `jax_enable_x64` plain numbers, and those of blocks, have 64 bits.
        size = np.int32(self.block[1])
        first = (offset + i * self.block[0]).astype(jnp.int32)
        last = first + self.block[0] - 1
        left, right = self.window
        begin = jnp.int32(0) if left is None else first - left
        end = jnp.int32(self.num_keys) if right is None else last + right + 1
        all_begin = jnp.int32(0) if left is None else last - left
        all_end = jnp.int32(self.num_keys) if right is None else first + right + 1
        begin, end, all_begin, all_end = (
            jnp.clip(x, 0, self.num_keys) for x in (begin, end, all_begin, all_end)
        )
        start, stop = lax.div(begin, size), lax.div(end + size - 1, size)
        whole = jnp.minimum(lax.div(all_begin + size - 1, size), stop)
        partial = jnp.clip(lax.div(all_end, size), whole, stop)
        return jnp.minimum(start, whole), whole, partial, stop

    def visible(self, head: Head, i: ArrayLike, j: ArrayLike, is_edge: bool) -> Array | None:
        """Return the pairs of a block that nothing hides; None is all of them."""
        masks = []
        if is_edge:
            queries, keys = self.queries(i)[:, None] + head.offset, self.keys(j)[None, :]
            left, right = self.window
            masks += [keys < self.num_keys]
            masks += [] if left is None else [keys >= queries - left]
            masks += [] if right is None else [keys <= queries + right]
        masks += [self.cut(x, i, j) for x in (head.mask, head.key_mask) if x is not None]
        if head.bias is not None:
            masks.append(self.cut(head.bias, i, j) > -jnp.inf)
        if head.query_segments is not None and head.key_segments is not None:
            segments = self.rows(head.query_segments, i), self.columns(head.key_segments, j)
            masks.append(segments[0][:, None] == segments[1][None, :])
        allowed = None
        for each in masks:
            allowed = each if allowed is None else allowed & each
        return None if allowed is None else jnp.broadcast_to(allowed, self.block)

    def scores(self, head: Head, i: ArrayLike, j: ArrayLike, is_edge: bool) -> Array:
        """Return the scores of a block, in float32; minus infinity where a query may not look."""
        scores = self.capped(head, i, j)
        if head.bias is not None:
            scores = scores + self.cut(head.bias, i, j).astype(scores.dtype)
        visible = self.visible(head, i, j, is_edge)
        return scores if visible is None else jnp.where(visible, scores, -jnp.inf)

    def capped(self, head: Head, i: ArrayLike, j: ArrayLike) -> Array:
        """Return the scores of a block before bias and mask."""
        scores = self.product("qd,kd->qk", self.rows(head.query, i), self.columns(head.key, j))
        scores = scores if self.scale == 1 else scores * self.scale
        return scores if self.softcap is None else self.softcap * jnp.tanh(scores / self.softcap)

    def product(self, axes: str, one: Array, other: Array) -> Array:
        """Return a matrix product; see :func:`product`."""
        return product(axes, one, other)

    def rows(self, array: Array, i: ArrayLike) -> Array:
        """Return the part of an array, whose first axis is the queries, that is in a block."""
        return lax.dynamic_slice_in_dim(array, i * self.block[0], self.block[0])

    def columns(self, array: Array, j: ArrayLike) -> Array:
        """Return the part of an array, whose first axis is the keys, that is in a block."""
        return lax.dynamic_slice_in_dim(array, j * self.block[1], self.block[1])

    def cut(self, array: Array, i: ArrayLike, j: ArrayLike) -> Array:
        """Return the part of a mask or a bias that is in a block."""
        starts, sizes = self.place(array.shape, i, j)
        return lax.dynamic_slice(array, in_32_bits(starts), sizes)

    def place(
        self, shape: tuple[int, ...], i: ArrayLike, j: ArrayLike
    ) -> tuple[tuple[ArrayLike, ...], tuple[int, ...]]:
        """Return where a block starts in a mask or a bias, and its size there."""
        axes = list(zip(shape, (i, j), self.block, strict=True))
        starts = tuple(0 if n == 1 else number * size for n, number, size in axes)
        return starts, tuple(1 if n == 1 else size for n, _, size in axes)


def product(axes: str, one: Array, other: Array) -> Array:
    """Return a matrix product, summed in float32, as exact as its operands are."""
    exact = lax.Precision.HIGHEST if one.dtype == jnp.float32 else None
    return jnp.einsum(axes, one, other, precision=exact, preferred_element_type=jnp.float32)


def add_part(array: Array, part: Array, start: tuple[ArrayLike, ...]) -> Array:
    """Add a part to an array, in place."""
    start = in_32_bits(start)
    old = lax.dynamic_slice(array, start, part.shape)
    return lax.dynamic_update_slice(array, old + part, start)


def in_32_bits(start: tuple[ArrayLike, ...]) -> tuple[Array, ...]:
    """Return indices of one type, as slices want them, with `jax_enable_x64` too."""
    return tuple(jnp.asarray(n, jnp.int32) for n in start)

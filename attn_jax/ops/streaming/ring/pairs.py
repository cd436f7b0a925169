"""A chunk of queries and a chunk of keys: a streamed call of its own, at its place in the map."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from attn_jax.ops.reference.operands import Call
from attn_jax.ops.streaming.blocks import add_part
from attn_jax.ops.streaming.ring.axis import AXIS, Step
from attn_jax.ops.streaming.ring.layout import TOKENS, Layout

Operands = dict[str, Array]

_OF_KEYS = ("key", "value", "key_mask", "key_segments", "received")
# An axis of size one of these is the same for all tokens.
_SHARED = ("mask", "bias", "key_mask")
_FAR = 2**30


def shard_of(call: Call, names: Iterable[str] = _OF_KEYS) -> Operands:
    """Return what travels: the keys, their values, and what is known of each of them."""
    operands = call.operands
    return {
        name: operands[name]
        for name in names
        if name in operands and operands[name].size and _is_divided(name, operands[name])
    }


def _is_divided(name: str, array: Array) -> bool:
    # A mask of one column is the same for all keys.
    return name != "key_mask" or array.shape[-1] > 1


@dataclasses.dataclass(frozen=True)
class Pair:
    """A chunk of the queries that stay, and one of a shard that came by.

    Attributes:
        layout: Which tokens are on which device.
        call: The call on this device.
        source: The device that the shard is from.
        rows: The place, on this device, of the chunk of queries.
        columns: The place, in the shard, of the chunk of keys.
    """

    layout: Layout
    call: Call
    source: Array
    rows: Array
    columns: Array

    @property
    def sizes(self) -> tuple[int, int]:
        """The number of queries and of keys in a chunk."""
        queries, keys = self.call.query.shape[-3], self.call.key.shape[-3]
        return queries // self.layout.chunks, keys // self.layout.chunks

    @property
    def starts(self) -> tuple[Array, Array]:
        """The place of the first query and of the first key in the whole sequence."""
        device = lax.axis_index(AXIS)
        query = self.layout.chunk(device, self.rows) * self.sizes[0]
        return query, self.layout.chunk(self.source, self.columns) * self.sizes[1]

    @property
    def offset(self) -> Array:
        """The position of the first query among the keys of the chunk."""
        first = jnp.zeros((1,) * (self.call.query.ndim - 2), jnp.int32)
        query, key = self.starts
        return self.call.optional.get("query_offset", first) + query - key

    def is_visible(self) -> Array | bool:
        """Whether causality and the window leave anything of the pair."""
        formula, offset = self.call.formula, self.offset
        left, right = formula.window or (None, None)
        right = 0 if formula.causal else right
        is_visible = True
        if right is not None:
            is_visible = offset.max() + self.sizes[0] - 1 + min(right, _FAR) >= 0
        if left is not None:
            is_visible &= offset.min() - min(left, _FAR) < self.sizes[1]
        return is_visible

    def cut(self, shard: Operands) -> Call:
        """Return the call of the two chunks alone; sinks belong to whole rows and are left out."""
        operands = self.call.operands | shard
        operands.pop("sinks", None)
        cut = {name: self._cut(name, x) for name, x in operands.items()}
        main = {name: cut.pop(name) for name in ("query", "key", "value")}
        cut["query_offset"] = self.offset
        return dataclasses.replace(self.call, **main, optional=cut, sees_all=False, is_shifted=True)

    def _cut(self, name: str, array: Array) -> Array:
        starts, sizes = self._place(name, array.shape)
        return lax.dynamic_slice(array, starts, sizes)

    def add(self, name: str, array: Array, part: Array) -> Array:
        """Add what a pair contributes to the gradient of an operand, or to `received`."""
        return add_part(array, part.astype(array.dtype), self._place(name, array.shape)[0])

    def _place(self, name: str, shape: tuple[int, ...]) -> tuple[tuple[Any, ...], list[int]]:
        """Return where the pair is in an array, and its size there."""
        starts: list[Any] = [0] * len(shape)
        sizes = list(shape)
        for axis, start, size in self._axes(name):
            if shape[axis] > 1 or name not in _SHARED:
                starts[axis], sizes[axis] = start, size
        return tuple(starts), sizes

    def _axes(self, name: str) -> list[tuple[int, Array, int]]:
        queries, keys = self.sizes
        if name in ("mask", "bias"):
            # Every device has all columns of its rows, in plain order.
            return [(-2, self.rows * queries, queries), (-1, self.starts[1], keys)]
        if name in _OF_KEYS:
            return [(TOKENS[name], self.columns * keys, keys)]
        return [(TOKENS[name], self.rows * queries, queries)] if name in TOKENS else []

    def of_rows(self, tree: Any) -> Any:
        """Return the part of this chunk of arrays `(b, h, q, ...)`."""
        size = self.sizes[0]
        return jax.tree.map(lambda x: lax.dynamic_slice_in_dim(x, self.rows * size, size, 2), tree)

    def put_rows(self, tree: Any, part: Any) -> Any:
        """Replace that part."""
        start = self.rows * self.sizes[0]
        return jax.tree.map(
            lambda x, p: lax.dynamic_update_slice_in_dim(x, p, start, 2), tree, part
        )


def over_pairs(layout: Layout, call: Call, step: Callable[..., tuple[Any, Any]]) -> Step:
    """Return the step of a hop: one step for each pair of chunks that can see each other.

    Args:
        layout: Which tokens are on which device.
        call: The call on this device.
        step: Called as `step(pair, shard, carry, traveling)`; returns the new carry and what
            travels along.
    """

    def hop(source: Array, shard: Operands, carry: Any, traveling: Any) -> tuple[Any, Any]:
        def of_pair(number: Any, state: tuple[Any, Any]) -> tuple[Any, Any]:
            rows, columns = jnp.divmod(jnp.int32(number), layout.chunks)
            pair = Pair(layout, call, source, rows, columns)
            is_visible = pair.is_visible()
            if is_visible is True:
                return step(pair, shard, *state)
            # Once or never; unlike a branch, a loop may be mapped over offsets.
            times = jnp.asarray(is_visible, jnp.int32)
            return lax.fori_loop(0, times, lambda _, state: step(pair, shard, *state), state)

        return lax.fori_loop(0, layout.chunks**2, of_pair, (carry, traveling))

    return hop

"""Which tokens are on which device: as they come, or in the zig-zag that balances causality.

With a causal mask the first device of a plain division would see one shard of keys and the last
all of them. Cut into two chunks for each device, of which device `i` holds chunk `i` and the `i`-th
from the end, the map is the same work for all, at every hop.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from attn_jax.ops.reference.operands import Call
from attn_jax.ops.streaming.ring.axis import AXIS, Ring

TOKENS = {"query": -3, "key": -3, "value": -3, "query_segments": -1, "key_segments": -1}
TOKENS |= {"key_mask": -1, "mask": -2, "bias": -2, "received": -1}
"""The axis of each operand of a call that is divided over the devices; and of the summary's sums of
keys."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """How the sequence is cut.

    Attributes:
        ring: The devices.
        chunks: How many chunks a device holds: 1 as they come, 2 in zig-zag.
    """

    ring: Ring
    chunks: int

    @property
    def number(self) -> int:
        """The number of chunks on all devices."""
        return self.ring.size * self.chunks

    def chunk(self, device: Array, place: Array) -> Array:
        """Return the number, in the order of the sequence, of the chunk at a place of a device."""
        return device if self.chunks == 1 else jnp.where(place == 0, device, self._last(device))

    def _last(self, device: Any) -> Any:
        return 2 * self.ring.size - 1 - device

    def scatter(self, array: Array, axis: int) -> Array:
        """Bring tokens from plain order, each device holding one stretch, into this layout."""
        if self.chunks == 1:
            return array
        # Of two neighbors in the sequence, one goes to a device's even place and one to its odd
        # place, so that two permutations move them all.
        halves = jnp.split(array, 2, axis)
        even, odd = (lax.ppermute(x, AXIS, self._pairs(n)) for n, x in enumerate(halves))
        first, last = self._ordered(even, odd)
        return jnp.concatenate([first, last], axis)

    def gather(self, array: Array, axis: int) -> Array:
        """Bring tokens from this layout back into plain order."""
        if self.chunks == 1:
            return array
        even, odd = self._ordered(*jnp.split(array, 2, axis))
        back = [[(j, i) for i, j in self._pairs(n)] for n in (0, 1)]
        halves = [lax.ppermute(x, AXIS, p) for x, p in zip((even, odd), back, strict=True)]
        return jnp.concatenate(halves, axis)

    def _pairs(self, half: int) -> list[tuple[int, int]]:
        """Return where each device's first or second half belongs."""
        chunks = [2 * i + half for i in range(self.ring.size)]
        return [(i, c if c < self.ring.size else self._last(c)) for i, c in enumerate(chunks)]

    def _ordered(self, one: Array, other: Array) -> tuple[Array, Array]:
        """Exchange two chunks on devices of odd number, whose first chunk is the odd one."""
        is_even = lax.axis_index(AXIS) % 2 == 0
        return jnp.where(is_even, one, other), jnp.where(is_even, other, one)


def layout_of(ring: Ring, call: Call) -> Layout:
    """Return the layout of a call: zig-zag if it is causal and halves of the shards are whole."""
    lengths = call.query.shape[-3], call.key.shape[-3]
    return Layout(ring, 2 if call.formula.causal and not any(n % 2 for n in lengths) else 1)


def scattered(layout: Layout, call: Call) -> Call:
    """Return a call whose tokens are in a layout."""

    def scatter(name: str, array: Array) -> Array:
        axis = TOKENS.get(name)
        return array if axis is None or array.shape[axis] == 1 else layout.scatter(array, axis)

    return with_operands(call, {name: scatter(name, x) for name, x in call.operands.items()})


def with_operands(call: Call, operands: Mapping[str, Array]) -> Call:
    """Return a call with other operands, which have its names."""
    optional = dict(operands)
    main = {name: optional.pop(name) for name in ("query", "key", "value")}
    return dataclasses.replace(call, **main, optional=optional)

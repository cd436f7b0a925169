"""What is known of a divided call before it has numbers."""

import dataclasses

from attn_jax.ops.reference.derived import AttentionFormula
from attn_jax.ops.reference.operands import Call
from attn_jax.ops.streaming.plan import Plan
from attn_jax.ops.streaming.ring.layout import Layout
from attn_jax.ops.streaming.ring.pairs import Operands
from attn_jax.ops.streaming.summary import Summary


@dataclasses.dataclass(frozen=True)
class RingPlan:
    """All that is known of a divided call before it has numbers.

    Attributes:
        layout: Which tokens are on which device.
        pair: The plan of the call of two chunks.
        summary: The statistics of the whole sequence.
        formula: The options of the call.
    """

    layout: Layout
    pair: Plan
    summary: Summary
    formula: AttentionFormula

    def call(self, operands: Operands) -> Call:
        """Return the call on this device."""
        optional = dict(operands)
        query, key, value = (optional.pop(name) for name in ("query", "key", "value"))
        return Call(self.formula, query, key, value, optional)

    @property
    def lengths(self) -> tuple[int, int]:
        """The number of queries and keys on all devices."""
        number, grid = self.layout.number, self.pair.grid
        return number * grid.num_queries, number * grid.num_keys

    @property
    def tiles(self) -> tuple[int, int] | None:
        """The tiles of a chunk, if each is a tile of the whole sequence."""
        pooled, number = self.summary.pooled, self.layout.number
        if pooled is None or any(g % number for g in pooled):
            return None
        return pooled[0] // number, pooled[1] // number

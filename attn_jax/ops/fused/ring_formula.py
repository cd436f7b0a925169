"""The hook points of a fused attention whose sequence is divided over devices."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from attn_jax.ops.fused.derived_summary import SummarizedFormula
from attn_jax.ops.reference.derived import Operands
from attn_jax.ops.reference.operands import Call
from attn_jax.ops.streaming.ring.attention import Options, stream_around
from attn_jax.ops.streaming.ring.axis import AXIS, Ring
from attn_jax.ops.streaming.ring.layout import TOKENS
from attn_jax.ops.streaming.summary import AttentionSummary, Summary

_OF_KEYS = ("key", "value", "key_mask", "key_segments")


@dataclasses.dataclass(frozen=True)
class RingFormula(SummarizedFormula):
    """A formula whose summary is computed around the ring.

    Scores and weights are derived only if somebody asks. Inside of a `shard_map` they are those of
    the device's own queries over all keys, which are gathered for it.

    Attributes:
        ring: The devices.
        num_queries: The number of queries that the call has.
    """

    ring: Ring = dataclasses.field(kw_only=True)
    num_queries: int = dataclasses.field(kw_only=True)

    @property
    def _whole(self) -> SummarizedFormula:
        return SummarizedFormula(self.scale, self.softcap, self.causal, self.window)

    def derive(self, leaf: str, operands: Operands) -> Any:
        """Return a leaf, with all keys for each query."""
        if leaf in operands:
            return operands[leaf]
        if leaf == "summary":
            times = self.ring.size if self.ring.is_manual else 1
            sizes = (operands[name].shape[-3] * times for name in ("query", "key"))
            return self.summarize(Summary.all_of(*sizes), operands)
        if not self.ring.is_manual:
            return super().derive(leaf, operands)
        return self._bound(lambda x: self._whole.derive(leaf, self._gathered(x)), operands)

    def visible_pairs(self, operands: Operands) -> jax.Array:
        """Return the pairs that may get weight, with all keys for each query."""
        if not self.ring.is_manual:
            return super().visible_pairs(operands)
        return self._bound(lambda x: self._whole.visible_pairs(self._gathered(x)), operands)

    def summarize(self, summary: Summary, operands: Operands) -> AttentionSummary:
        """Compute a summary around the ring.

        Raises:
            ValueError: If scores or weights were edited inside of a `shard_map`.
        """
        edited = [name for name in ("scores", "weights") if name in operands]
        if edited and self.ring.is_manual:
            raise ValueError(
                f"the summary of edited {edited[0]} is not computed around a ring; capture the "
                "edited weights, or edit query or key."
            )
        if edited:
            return super().summarize(summary, operands)

        def around(operands: Operands) -> AttentionSummary:
            optional = dict(operands)
            query, key, value = (optional.pop(name) for name in ("query", "key", "value"))
            call = Call(self, query, key, value[..., :0], optional)
            return stream_around(Options(self.ring, summary), call)[1]

        return self._bound(around, operands)

    def _gathered(self, operands: Operands) -> dict[str, jax.Array]:
        """Return the operands with the keys of all devices."""
        whole = {
            name: lax.all_gather(x, AXIS, axis=x.ndim + TOKENS[name], tiled=True)
            if name in _OF_KEYS and x.shape[TOKENS[name]] > 1
            else x
            for name, x in operands.items()
        }
        rank = operands["query"].ndim - 2
        offset = whole.get("query_offset", jnp.zeros((1,) * rank, jnp.int32))
        return whole | {"query_offset": offset + lax.axis_index(AXIS) * self.num_queries}

    def _bound(self, function: Any, operands: Operands) -> Any:
        """Call a function that speaks of the mesh axis, which shapes alone are computed without."""
        manual = jax.sharding.get_abstract_mesh().manual_axes
        if AXIS in manual or not self.ring.is_manual:
            return function(operands)
        size = self.ring.size
        every = jax.vmap(function, in_axes=None, axis_size=size, axis_name=AXIS)(operands)
        return jax.tree.map(lambda x: x[0], every)

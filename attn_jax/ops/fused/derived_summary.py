"""The hook point `summary` of a fused attention, at any length."""

from typing import Any

import jax.numpy as jnp

from attn_jax.ops.reference.derived import AttentionFormula, Operands
from attn_jax.ops.reference.operands import Call
from attn_jax.ops.streaming.attention import stream
from attn_jax.ops.streaming.plan import plan_of
from attn_jax.ops.streaming.summary import AttentionSummary, Summary


class SummarizedFormula(AttentionFormula):
    """A formula with one more hook point, which is computed without the map."""

    @property
    def leaves(self) -> tuple[str, ...]:
        """The names of the hook points, upstream first."""
        *upstream, context = super().leaves
        return (*upstream, "summary", context)

    @property
    def observations(self) -> tuple[str, ...]:
        """The names of those that are only read: the summary."""
        return ("summary",)

    def derive(self, leaf: str, operands: Operands) -> Any:
        """Return a leaf; the summary is then one with all its fields."""
        if leaf != "summary":
            return super().derive(leaf, operands)
        sizes = operands["query"].shape[-3], operands["key"].shape[-3]
        return self.summarize(Summary.all_of(*sizes), operands)

    def summarize(self, summary: Summary, operands: Operands) -> AttentionSummary:
        """Compute a summary block by block or, where they were edited, from scores or weights."""
        offset = operands.get("query_offset", 0)
        if "weights" in operands:
            return summary(operands["weights"], offset)
        if "scores" in operands:
            weights, visible = self.derive("weights", operands), self.visible(operands)
            scores = operands["scores"]
            scores = scores if visible is None else jnp.where(visible, scores, -jnp.inf)
            return summary.of_scores(scores, weights, offset, operands.get("sinks"))
        # The context is optional already; values without features cost nothing.
        optional = dict(operands)
        query, key, value = (optional.pop(name) for name in ("query", "key", "value"))
        call = Call(self, query, key, value[..., :0], optional)
        return stream(plan_of(call, None, summary), call)[1]

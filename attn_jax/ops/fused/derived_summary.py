"""The hook point `summary`: what any fused attention tells of itself at any length."""

from typing import Any

import jax.numpy as jnp

from attn_jax.ops.reference.derived import AttentionSite, Operands
from attn_jax.ops.streaming.attention import stream
from attn_jax.ops.streaming.summary import AttentionSummary, Summary


class SummarizedSite(AttentionSite):
    """The hook points of a fused attention, and one more that is computed without its map."""

    @property
    def leaves(self) -> tuple[str, ...]:
        """The names of the hook points, upstream first."""
        *upstream, context = super().leaves
        return (*upstream, "summary", context)

    @property
    def observations(self) -> tuple[str, ...]:
        """The summary, which is only ever read."""
        return ("summary",)

    def derive(self, leaf: str, operands: Operands) -> Any:
        """Return a leaf; of the summary, all that there is to know."""
        if leaf != "summary":
            return super().derive(leaf, operands)
        sizes = operands["query"].shape[-3], operands["key"].shape[-3]
        return self.summarize(Summary.all_of(*sizes), operands)

    def summarize(self, summary: Summary, operands: Operands) -> AttentionSummary:
        """Compute a summary block by block or, of edited scores or weights, from these."""
        offset = operands.get("query_offset", 0)
        if "weights" in operands:
            return summary(operands["weights"], offset)
        if "scores" in operands:
            weights, visible = self.derive("weights", operands), self.visible(operands)
            scores = operands["scores"]
            scores = scores if visible is None else jnp.where(visible, scores, -jnp.inf)
            return summary.of_scores(scores, weights, offset, operands.get("sinks"))
        # The context is known already; values without features cost nothing.
        nothing = {"value": operands["value"][..., :0]}
        return stream(self, {**operands, **nothing}, None, summary)[1]

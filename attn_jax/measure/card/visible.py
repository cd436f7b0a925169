"""Which keys a query may look at: by the masks of its attention, or by weights of exactly zero."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from attn_jax.hooks import DerivedTap
from attn_jax.hooks.tap import visible_pairs
from attn_jax.measure.reweigh import choose_rows, per_key

Visible = Literal["operands", "nonzero", "mask"]
"""Which keys are hidden from a query: those that the masks of its attention hide, or all of weight
zero where there are none; all of weight zero; or only those that do not exist."""


def visible_keys(rule: Visible, weights: Array, mask: Array, pairs: Array | None) -> Array:
    """Return the keys that each query may look at, of the shape of the weights.

    A key that has weight is never hidden: some attentions mix heads after their masks.

    Args:
        rule: What decides.
        weights: `(n, ..., q, k)`.
        mask: True for the keys that exist, `(n, k)`.
        pairs: True where the masks of the attention let a query look; None if it has none.
    """
    exists = per_key(mask, weights)
    if rule == "mask":
        return jnp.broadcast_to(exists, weights.shape)
    has_weight = weights != 0
    if rule == "operands" and pairs is not None:
        has_weight |= jnp.broadcast_to(pairs, weights.shape)
    return has_weight & exists


class Look(NamedTuple):
    """The weights of one attention, in brief.

    Attributes:
        deviation: The largest distance of a row's sum from one and from zero.
        lowest: The lowest weight.
        visible: The keys that some query sees, (n, k).
        is_masked: Whether the attention carries its masks.
    """

    deviation: Array
    lowest: Array
    visible: Array
    is_masked: Array


@dataclasses.dataclass(frozen=True, eq=False)
class Looker:
    """A reducer of weights to a `Look`, which reads the masks of fused calls.

    Attributes:
        rule: What decides which keys are hidden.
        mask: True for the keys that exist, `(n, k)`.
        query: The query whose weights are judged; all if None.
        heads: The heads that are judged; all if None.
    """

    rule: Visible
    mask: Array
    query: int | None
    heads: tuple[int, ...] | None

    def __call__(self, weights: Array) -> Look:
        """Look at weights that carry no masks."""
        return self._look(weights, None)

    def of_derived(self, derived: DerivedTap, leaf: str, operands: Mapping[str, Any]) -> Look:
        """Look at the weights of a fused call, or of a tap with a mask."""
        return self._look(derived.derive(leaf, operands), visible_pairs(derived, operands))

    def _look(self, weights: Array, pairs: Array | None) -> Look:
        sums = weights.astype(jnp.float32).sum(-1)
        visible = visible_keys(self.rule, weights, self.mask, pairs)
        rows = choose_rows(visible, self.query, self.heads)
        return Look(
            jnp.minimum(jnp.abs(sums - 1), jnp.abs(sums)).max(),
            weights.min(),
            rows.any(tuple(range(1, rows.ndim - 1))),
            jnp.array(pairs is not None),
        )

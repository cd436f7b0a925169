"""Fused attention by its definition: the scores and weights that a fused call never holds."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from attn_jax.ops.heads.multi_head import multi_head_scores, multi_head_weigh
from attn_jax.ops.masks import causal_mask, combine_masks, window_mask
from attn_jax.ops.normalizers.softmax import softmax
from attn_jax.ops.stages import add_bias, unmasked_pairs

Operands = Mapping[str, jax.Array]

_DEPENDENTS = {
    "query": ("scores", "weights", "context"),
    "key": ("scores", "weights", "context"),
    "value": ("context",),
    "scores": ("weights", "context"),
    "weights": ("context",),
    "context": (),
}


@dataclasses.dataclass(frozen=True)
class AttentionFormula:
    """The definition of a fused attention, stage by stage, and its hook points (a `DerivedTap`).

    The operands are `query`, `key`, `value` and, where they apply, `mask`, `key_mask`, `bias` and
    `sinks`, all of the rank of the scores so that `vmap` keeps them aligned, and `query_offset`, of
    the rank of their leading axes `(*b, h)`; `query_segments` and `key_segments` are
    `(*b, tokens)`.

    Attributes:
        scale: Multiplies the inner products; one over the root of the features if None.
        softcap: The bound that the scaled products are squashed to, if any.
        causal: Whether queries see only keys that are not after them.
        window: How far queries see to the left and to the right, if there is a bound.
    """

    scale: float | None = None
    softcap: float | None = None
    causal: bool = False
    window: tuple[int, int] | None = None

    @property
    def leaves(self) -> tuple[str, ...]:
        """The names of the hook points, upstream first."""
        return tuple(_DEPENDENTS)

    @property
    def observations(self) -> tuple[str, ...]:
        """None of the leaves."""
        return ()

    def derive(self, leaf: str, operands: Operands) -> jax.Array:
        """Return a leaf, computed from those upstream of it unless it is among the operands."""
        if leaf in operands:
            return operands[leaf]
        match leaf:
            case "scores":
                return self._scores(operands)
            case "weights":
                return self._weights(operands)
            case _:
                return multi_head_weigh(self.derive("weights", operands), operands["value"])

    def rewrite(self, leaf: str, edited: jax.Array, operands: Operands) -> dict[str, jax.Array]:
        """Put an edited leaf among the operands, and drop what depended on the old one."""
        stale = _DEPENDENTS[leaf]
        return {name: x for name, x in operands.items() if name not in stale} | {leaf: edited}

    def rows(self, operands: Operands, start: ArrayLike, size: int) -> dict[str, jax.Array]:
        """Return the operands of `size` queries, from `start` on."""
        return {name: _rows(name, operand, start, size) for name, operand in operands.items()}

    def columns(self, operands: Operands, start: int, size: int) -> dict[str, jax.Array]:
        """Return the operands of `size` keys, from `start` on."""
        axes = {"key": -3, "value": -3, "key_segments": -1}
        axes |= dict.fromkeys(("mask", "key_mask", "bias", "scores", "weights"), -1)
        cut = {
            name: _cut(operand, start, size, axes[name]) if name in axes else operand
            for name, operand in operands.items()
            if name != "context"
        }
        if "query_offset" in cut:
            cut["query_offset"] = cut["query_offset"] - start
        return cut

    def visible(self, operands: Operands) -> jax.Array | None:
        """Return the pairs that masks, causality, the window and the segments allow."""
        sizes = operands["query"].shape[-3], operands["key"].shape[-3]
        offset = operands.get("query_offset", 0)
        causal = causal_mask(*sizes, query_offset=offset) if self.causal else None
        near = window_mask(*sizes, self.window, query_offset=offset) if self.window else None
        masks = operands.get("mask"), operands.get("key_mask")
        return combine_masks(*masks, causal, near, _same_segment(operands))

    def visible_pairs(self, operands: Operands) -> jax.Array:
        """Return the pairs that may get weight; large negative biases hide as masks do."""
        visible = unmasked_pairs(self.visible(operands), operands.get("bias"))
        rank = operands["query"].ndim
        return jnp.ones((1,) * rank, bool) if visible is None else visible

    def _scores(self, operands: Operands) -> jax.Array:
        scores = multi_head_scores(operands["query"], operands["key"], scale=self.scale)
        if self.softcap is not None:
            scores = self.softcap * jnp.tanh(scores / self.softcap)
        return add_bias(scores, operands.get("bias"))

    def _weights(self, operands: Operands) -> jax.Array:
        scores, mask = self.derive("scores", operands), self.visible(operands)
        if "sinks" not in operands:
            return softmax(scores, mask=mask)
        # A sink is one more key that every query sees and that has no value.
        shape = (*scores.shape[:-1], 1)
        sinks = jnp.broadcast_to(operands["sinks"].astype(scores.dtype), shape)
        if mask is not None:
            mask = jnp.broadcast_to(mask, scores.shape)
            mask = jnp.concatenate([mask, jnp.ones(shape, bool)], axis=-1)
        return softmax(jnp.concatenate([scores, sinks], axis=-1), mask=mask)[..., :-1]


def _rows(name: str, operand: jax.Array, start: ArrayLike, size: int) -> jax.Array:
    """Cut an operand down to some queries, if it has an axis of them."""
    if name == "query_offset":
        return operand + start
    axes = {"query": -3, "context": -3, "query_segments": -1}
    axes |= dict.fromkeys(("mask", "bias", "scores", "weights"), -2)
    return _cut(operand, start, size, axes[name]) if name in axes else operand


def _cut(operand: jax.Array, start: ArrayLike, size: int, axis: int) -> jax.Array:
    """Cut out a part along an axis; what is the same for all along it stays as it is."""
    if operand.shape[axis] == 1:
        return operand
    return lax.dynamic_slice_in_dim(operand, start, size, axis)


def _same_segment(operands: Operands) -> jax.Array | None:
    """Return the pairs of one segment, `(*b, 1, q, k)`."""
    if "query_segments" not in operands:
        return None
    queries, keys = operands["query_segments"], operands["key_segments"]
    return (queries[..., :, None] == keys[..., None, :])[..., None, :, :]

"""One call of attention: its operands, checked and of one rank, and the formula of its options."""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array

from attn_jax.ops.masks import with_key_mask
from attn_jax.ops.reference.derived import AttentionFormula
from attn_jax.ops.shapes import (
    HEAD_AXES,
    align_to_scores,
    as_float,
    check_features,
    check_head_inputs,
    check_mask,
)
from attn_jax.ops.stages import hide_unseen, visible_pairs

SegmentIds = Array | tuple[Array, Array]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Call:
    """A call of attention, whose options and operands fit together.

    Attributes:
        formula: The options.
        query: `(*b, q, h, d)`.
        key: `(*b, k, h_k, d)`.
        value: `(*b, k, h_k, e)`.
        optional: The other operands, named and ranked as `AttentionFormula` has them.
        sees_all: Whether it is plain that each query sees a key, and each key is seen by a query.
        is_shifted: Whether the first query may stand elsewhere than at the first key.
    """

    formula: AttentionFormula = dataclasses.field(metadata={"static": True})
    query: Array
    key: Array
    value: Array
    optional: dict[str, Array] = dataclasses.field(default_factory=dict)
    sees_all: bool = dataclasses.field(default=False, metadata={"static": True})
    is_shifted: bool = dataclasses.field(default=True, metadata={"static": True})

    @property
    def operands(self) -> dict[str, Array]:
        """All operands by their names, as the formula takes them."""
        return {"query": self.query, "key": self.key, "value": self.value} | self.optional

    def visible(self) -> Array | None:
        """Return the pairs that nothing hides, a bias of minus infinity included; None is all."""
        return visible_pairs(self.formula.visible(self.operands), self.optional.get("bias"))

    def hide_unseen(self, is_seen: Array) -> "Call":
        """Return the call with zeros for the keys and values that no query may see.

        Args:
            is_seen: `(*b, h, k)`, with ones allowed; True = a query of that head sees the key.
        """
        *batch, heads, num_keys = is_seen.shape
        if heads > 1:
            key_heads = self.key.shape[-2]
            groups = *batch, key_heads, heads // key_heads, num_keys
            is_seen = is_seen.reshape(groups).any(axis=-2)
        key, value = hide_unseen(jnp.swapaxes(is_seen, -1, -2), self.key, self.value)
        return dataclasses.replace(self, key=key, value=value)


def checked_call(
    query: Array,
    key: Array,
    value: Array,
    *,
    mask: Array | None,
    bias: Array | None,
    key_mask: Array | None,
    segment_ids: SegmentIds | None,
    causal: bool,
    query_offset: int | Array,
    window: int | tuple[int, int] | None,
    scale: float | None,
    softcap: float | None,
    sinks: Array | None,
    kind: type[AttentionFormula] = AttentionFormula,
    ring_size: int = 1,
) -> Call:
    """Check the arguments of a call, and give each operand the rank of the scores.

    Integers among queries, keys, values, biases and sinks become floats. Where the keys are one
    shard of `ring_size`, mask and bias have columns for all of them.

    Raises:
        ValueError: If shapes do not fit together, or an option is out of range.
        TypeError: If a mask is not boolean.
    """
    query, key, value = as_float(query, key, value)
    _check_heads(query, key, value)
    formula = _checked_formula(kind, scale, softcap, causal, window)
    *batch, num_queries, num_heads, _ = query.shape
    shape = (*batch, num_heads, num_queries, key.shape[-3])
    whole = (*shape[:-1], shape[-1] * ring_size)
    optional = _aligned_segments(shape, segment_ids)
    if mask is not None:
        check_mask(mask)
        optional["mask"] = align_to_scores("mask", mask, whole, HEAD_AXES)
    # Joined with a mask that all sequences share, it would be an array of (b, q, k).
    key_mask = with_key_mask(None, key_mask, shape, len(batch))
    if key_mask is not None:
        optional["key_mask"] = key_mask
    if bias is not None:
        (bias,) = as_float(bias)
        optional["bias"] = align_to_scores("bias", bias, whole, HEAD_AXES)
    # All the operands so far may hide a key from every query.
    hides = bool(optional)
    if sinks is not None:
        (sinks,) = as_float(sinks)
        optional["sinks"] = _aligned_sinks(sinks, shape)
    is_shifted = not (isinstance(query_offset, int) and query_offset == 0)
    has_band = causal or formula.window is not None
    if has_band or is_shifted:
        optional["query_offset"] = _aligned_offset(query_offset, tuple(batch))
    # Along the diagonal of a square map, every query sees at least its own key.
    is_square = num_queries == key.shape[-3] and not is_shifted
    sees_all = not hides and (is_square or not has_band)
    return Call(formula, query, key, value, optional, sees_all, is_shifted)


def flat_batch(array: Array, batch: tuple[int, ...]) -> Array:
    """Give a mask or a bias one batch axis; of size one, if it is the same for the whole batch."""
    if any(size != 1 for size in array.shape[:-3]):
        array = jnp.broadcast_to(array, (*batch, *array.shape[-3:]))
    return array.reshape(math.prod(array.shape[:-3]), *array.shape[-3:])


def _check_heads(query: Array, key: Array, value: Array) -> None:
    check_head_inputs(query, key, value)
    check_features("key", key.shape[-1], "query", query.shape[-1])
    num_heads, key_heads = query.shape[-2], key.shape[-2]
    if key_heads != value.shape[-2]:
        raise ValueError(f"key has {key_heads} heads and value has {value.shape[-2]}.")
    if not (num_heads and key_heads and query.shape[-1]):
        raise ValueError(
            f"query of shape {query.shape} and key of shape {key.shape} need at least one head and "
            "one feature; batches, queries and keys may be empty."
        )
    if num_heads % key_heads:
        raise ValueError(
            f"key has {key_heads} heads, which do not divide the {num_heads} heads of query; each "
            "key and value head serves a whole group of query heads."
        )


def _checked_formula(
    kind: type[AttentionFormula],
    scale: float | None,
    softcap: float | None,
    causal: bool,
    window: int | tuple[int, int] | None,
) -> AttentionFormula:
    if softcap is not None and softcap <= 0:
        raise ValueError(f"softcap={softcap} must be positive; None sets no bound.")
    sides = (window, window) if isinstance(window, int) else window
    if sides is not None and (len(sides) != 2 or min(sides) < 0):
        wrong = "has a negative side" if len(sides) == 2 else "is no pair"
        raise ValueError(
            f"window={window} {wrong}; (left, right) are counts of keys, at least 0, and one "
            "number is both."
        )
    return kind(scale, softcap, causal, sides)


def _aligned_offset(query_offset: int | Array, batch: tuple[int, ...]) -> Array:
    """Give the position of the first query, of each sequence or of all, the axes `(*b, h)`."""
    offset = jnp.asarray(query_offset, jnp.int32)
    if offset.shape not in ((), batch):
        raise ValueError(
            f"query_offset of shape {offset.shape} must be one number, or one for each sequence, "
            f"{batch}."
        )
    return offset[..., None] if offset.ndim else offset.reshape((1,) * (len(batch) + 1))


def _aligned_sinks(sinks: Array, shape: tuple[int, ...]) -> Array:
    """Give each head's sink the rank of the scores."""
    num_heads = shape[-3]
    if sinks.shape not in ((1,), (num_heads,)):
        raise ValueError(
            f"sinks of shape {sinks.shape} must have one score for each head, {(num_heads,)}."
        )
    return sinks.reshape((1,) * (len(shape) - 3) + (-1, 1, 1))


def _aligned_segments(scores: tuple[int, ...], segment_ids: SegmentIds | None) -> dict[str, Array]:
    """Return the segments of queries and of keys, each `(*b, tokens)`."""
    if segment_ids is None:
        return {}
    pair = segment_ids if isinstance(segment_ids, tuple) else (segment_ids, segment_ids)
    if len(pair) != 2:
        raise ValueError(
            f"{len(pair)} segment_ids are given; they are one array or a pair, (of the queries, of "
            "the keys)."
        )
    aligned = {}
    for name, ids, tokens in zip(("query", "key"), pair, scores[-2:], strict=True):
        shape = (*scores[:-3], tokens)
        try:
            aligned[f"{name}_segments"] = jnp.broadcast_to(ids, shape)
        except ValueError:
            raise ValueError(
                f"segment_ids of shape {ids.shape} do not broadcast to the {name}'s (*batch, "
                f"tokens) = {shape}; where queries and keys differ, give a pair."
            ) from None
    return aligned

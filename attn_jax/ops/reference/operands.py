"""The operands of a fused attention: checked, of one rank, and without what nobody may see."""

import jax.numpy as jnp
from jaxtyping import Array

from attn_jax.ops.heads.multi_head import share_heads
from attn_jax.ops.masks import combine_masks
from attn_jax.ops.reference.derived import AttentionSite
from attn_jax.ops.shapes import (
    broadcast_to_scores,
    check_attention_inputs,
    check_features,
    check_mask,
)


def check_heads(query: Array, key: Array, value: Array) -> None:
    """Refuse queries, keys and values `(*b, tokens, heads, features)` that do not fit together.

    Raises:
        ValueError: if ranks, batch axes, tokens, heads or features do not fit.
    """
    for name, array in (("query", query), ("key", key), ("value", value)):
        if array.ndim < 3:
            raise ValueError(
                f"{name} of shape {array.shape} needs at least three axes, (*batch, tokens, heads, "
                f"features); a single head is {name}[..., None, :]."
            )
        if not array.size:
            raise ValueError(f"{name} of shape {array.shape} is empty; every axis needs a size.")
    check_attention_inputs(*(x.reshape(*x.shape[:-2], -1) for x in (query, key, value)))
    check_features("key", key.shape[-1], "query", query.shape[-1])
    if key.shape[-2] != value.shape[-2]:
        raise ValueError(f"key has {key.shape[-2]} heads and value has {value.shape[-2]}.")
    share_heads("key", key, query.shape[-2])


def attention_site(
    scale: float | None,
    softcap: float | None,
    causal: bool,
    window: int | tuple[int, int] | None,
    kind: type[AttentionSite] = AttentionSite,
) -> AttentionSite:
    """Make the site of a call of its options, which are checked.

    Raises:
        ValueError: if the softcap is not positive, or the window is no pair of counts.
    """
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


def aligned_operands(
    site: AttentionSite,
    query: Array,
    num_keys: int,
    query_offset: int | Array,
    *,
    mask: Array | None,
    bias: Array | None,
    sinks: Array | None,
) -> dict[str, Array]:
    """Return the optional operands, each of the rank that the site expects."""
    *batch, num_queries, num_heads, _ = query.shape
    aligned = {}
    if mask is not None:
        check_mask(mask)
    for name, array in {"mask": mask, "bias": bias}.items():
        if array is not None:
            aligned[name] = _to_rank(query.ndim, array)
            broadcast_to_scores(name, array, (*batch, num_heads, num_queries, num_keys))
    if sinks is not None:
        broadcast_to_scores("sinks", sinks, (num_heads,))
        aligned["sinks"] = _to_rank(query.ndim, sinks[:, None, None])
    if site.causal or site.window or not (isinstance(query_offset, int) and query_offset == 0):
        offset = jnp.asarray(query_offset, jnp.int32)
        aligned["query_offset"] = _to_rank(query.ndim - 2, offset)
    return aligned


def segment_operands(
    query: Array,
    key: Array,
    segment_ids: Array | tuple[Array, Array] | None,
) -> dict[str, Array]:
    """Return the segments of queries and of keys, each `(*b, tokens)`.

    Raises:
        ValueError: if they are not two, or do not broadcast to the tokens.
    """
    if segment_ids is None:
        return {}
    pair = segment_ids if isinstance(segment_ids, tuple) else (segment_ids, segment_ids)
    if len(pair) != 2:
        raise ValueError(
            f"{len(pair)} segment_ids are given; they are one array or a pair, (of the queries, of "
            "the keys)."
        )
    aligned = {}
    for name, ids, tokens in zip(("query", "key"), pair, (query, key), strict=True):
        shape = tokens.shape[:-2]
        try:
            aligned[f"{name}_segments"] = jnp.broadcast_to(ids, shape)
        except ValueError:
            raise ValueError(
                f"segment_ids of shape {ids.shape} do not broadcast to the {name}'s (*batch, "
                f"tokens) = {shape}; where queries and keys differ, give a pair."
            ) from None
    return aligned


def flat_batch(array: Array, batch: tuple[int, ...]) -> Array:
    """Give a mask or a bias one batch axis; of size one, if it is the same for the whole batch."""
    if any(size > 1 for size in array.shape[:-3]):
        array = jnp.broadcast_to(array, (*batch, *array.shape[-3:]))
    return array.reshape(-1, *array.shape[-3:])


def _to_rank(rank: int, array: Array) -> Array:
    return array.reshape((1,) * (rank - array.ndim) + array.shape)


def sees_all(site: AttentionSite, operands: dict[str, Array], query_offset: int | Array) -> bool:
    """Whether it is plain that each query sees a key and each key is seen by a query."""
    if not operands.keys().isdisjoint(("mask", "bias", "query_segments")):
        return False
    if not site.causal and site.window is None:
        return True
    is_square = operands["query"].shape[-3] == operands["key"].shape[-3]
    return is_square and isinstance(query_offset, int) and query_offset == 0


def visible_pairs(site: AttentionSite, operands: dict[str, Array]) -> Array | None:
    """Return what the queries see by everything that can hide, a bias of minus infinity too."""
    bias = operands.get("bias")
    return combine_masks(site.visible(operands), None if bias is None else bias > -jnp.inf)


def without_unseen(key: Array, value: Array, visible: Array | None) -> dict[str, Array]:
    """Put zeros where no query may look: zero times the NaN that may stand there is NaN."""
    if visible is None:
        return {}
    seen = visible.any(axis=-2)
    if seen.shape[-2] > 1:
        seen = seen.reshape(*seen.shape[:-2], key.shape[-2], -1, seen.shape[-1]).any(axis=-2)
    seen = jnp.swapaxes(seen, -1, -2)[..., None]
    return {"key": jnp.where(seen, key, 0), "value": jnp.where(seen, value, 0)}

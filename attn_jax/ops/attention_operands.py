"""The operands of a fused attention: checked, of one rank, and without what nobody may see."""

import jax.numpy as jnp
from jaxtyping import Array

from attn_jax.ops.attention_site import AttentionSite
from attn_jax.ops.masks import combine_masks
from attn_jax.ops.multi_head import share_heads
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
    check_attention_inputs(*(x.reshape(*x.shape[:-2], -1) for x in (query, key, value)))
    check_features("key", key.shape[-1], "query", query.shape[-1])
    if key.shape[-2] != value.shape[-2]:
        raise ValueError(f"key has {key.shape[-2]} heads and value has {value.shape[-2]}.")
    share_heads("key", key, query.shape[-2])


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
    if site.causal or site.window:
        offset = jnp.asarray(query_offset, jnp.int32)
        aligned["query_offset"] = _to_rank(query.ndim - 2, offset)
    return aligned


def _to_rank(rank: int, array: Array) -> Array:
    return array.reshape((1,) * (rank - array.ndim) + array.shape)


def sees_all(site: AttentionSite, operands: dict[str, Array], query_offset: int | Array) -> bool:
    """Whether it is plain that each query sees a key and each key is seen by a query."""
    if "mask" in operands or "bias" in operands:
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

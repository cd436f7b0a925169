"""Attention of any length in memory that grows with the tokens, and an exact summary of it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from attn_jax.ops.attention_operands import (
    aligned_operands,
    attention_site,
    check_heads,
    flat_batch,
    sees_all,
    segment_operands,
)
from attn_jax.ops.attention_site import AttentionSite
from attn_jax.ops.devices import Kernel, kernel_compiler
from attn_jax.ops.dot_product import default_scale
from attn_jax.ops.streaming_blocks import Grid
from attn_jax.ops.streaming_heads import Arrays, Plan, attend, seen_by_any, summarize_weights
from attn_jax.ops.summary import AttentionSummary, Summary

Operands = Mapping[str, jax.Array]
# How many of the largest weights a kernel keeps in registers.
_MOST_LARGEST = 64
BlockSizes = tuple[int, int]

_BLOCK_SIZES = (1024, 1024)
_FAR = 2**30


def streaming_attention(
    query: Float[Array, "*b q h d"],
    key: Float[Array, "*b k h_k d"],
    value: Float[Array, "*b k h_k e"],
    *,
    mask: Bool[Array, "..."] | None = None,
    bias: Float[Array, "..."] | None = None,
    causal: bool = False,
    query_offset: int | Int[Array, ""] = 0,
    window: int | tuple[int, int] | None = None,
    segment_ids: Int[Array, "..."] | tuple[Int[Array, "..."], Int[Array, "..."]] | None = None,
    scale: float | None = None,
    softcap: float | None = None,
    sinks: Float[Array, " h"] | None = None,
    block_sizes: BlockSizes | None = None,
    summary: Summary | None = None,
) -> Float[Array, "*b q h e"] | tuple[Float[Array, "*b q h e"], AttentionSummary]:
    r"""Attend without ever holding an array of queries by keys, forward or backward.

    The same function as :func:`attention`, whose options these are; softmax is carried along
    blocks of keys (the online softmax), and gradients compute the weights of each block anew. With
    `summary` it returns what is asked about the weights beside the context, exactly:

    .. math:: |x - x_\text{float64}| \le 10^{-5} \max(1, |x_\text{float64}|)
              \quad\text{for } |\text{scores}| \le 30

    Args:
        query: `(*b, q, h, d)`.
        key: `(*b, k, h_k, d)`; where `h_k` divides `h`, each head serves a group of query heads.
        value: `(*b, k, h_k, e)`.
        mask: Broadcastable to `(*b, h, q, k)`; True = may attend. A mask of that whole size is the
            caller's to hold; `causal`, `window` and `segment_ids` need none.
        bias: Broadcastable to `(*b, h, q, k)`, added to the scores; minus infinity hides.
        causal: Let each query see only the keys up to its own position.
        query_offset: The position of the first query among the keys; it may be traced.
        window: How many keys to the left and to the right of its own position a query sees, ends
            included; one number is both. What no query of a block sees is not computed.
        segment_ids: Numbers, broadcastable to `(*b, tokens)`; a query sees the keys of its own
            number. A pair where queries and keys are not the same tokens.
        scale: What multiplies the inner products; :math:`1/\sqrt{d}` if None.
        softcap: The bound of the scaled products.
        sinks: One score for each head that takes part in the softmax and attends to nothing.
        block_sizes: At most how many queries and keys are in a block; they need not divide the
            lengths, and may exceed them. Chosen by measurement if None.
        summary: What to know of the weights. It does not change the context, and no gradient
            flows through what it finds.

    Returns:
        The context; with `summary`, the context and an :class:`AttentionSummary`. A query that
        may attend to nothing gets zeros, and zero gradients.

    Raises:
        ValueError: If shapes do not fit together, an option is out of range, or the summary asks
            for more keys or tiles than there are.
        TypeError: If the mask is not boolean.

    Example:
        >>> x = jax.random.normal(jax.random.key(0), (1000, 2, 4))
        >>> wanted = Summary(entropy=True, top_k=3, pooled=(10, 10))
        >>> context, found = streaming_attention(x, x, x, causal=True, summary=wanted)
        >>> context.shape, found.entropy.shape, found.top_weights.shape, found.pooled.shape
        ((1000, 2, 4), (2, 1000), (2, 1000, 3), (2, 10, 10))

    References:
        Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018.
        https://arxiv.org/abs/1805.02867
        Rabe and Staats, "Self-attention Does Not Need O(n²) Memory", 2021.
        https://arxiv.org/abs/2112.05682
        Dao et al., "FlashAttention", 2022. https://arxiv.org/abs/2205.14135
    """
    site = attention_site(scale, softcap, causal, window)
    check_heads(query, key, value)
    operands = {"query": query, "key": key, "value": value}
    operands |= aligned_operands(
        site, query, key.shape[-3], query_offset, mask=mask, bias=bias, sinks=sinks
    )
    operands |= segment_operands(query, key, segment_ids)
    if not sees_all(site, operands, query_offset):
        operands |= without_unseen_keys(site, operands, block_sizes)
    context, found = stream(site, operands, block_sizes, summary or Summary())
    return context if summary is None else (context, found)


def stream(
    site: AttentionSite, operands: Operands, block_sizes: BlockSizes | None, summary: Summary
) -> tuple[jax.Array, AttentionSummary]:
    """Attend block by block.

    Args:
        site: The options.
        operands: As the site has them; and `query_segments`, `key_segments`, each `(*b, tokens)`.
        block_sizes: Queries and keys in a block.
        summary: What to know of the weights.

    Returns:
        The context, and the summary.

    Raises:
        ValueError: If the summary asks for more than there is, or the blocks are no sizes.
    """
    query, value = operands["query"], operands["value"]
    *batch, num_queries, _, _ = query.shape
    num_keys = value.shape[-3]
    _check_precision(query)
    summary.check(num_queries, num_keys)
    plan = _plan(site, operands, block_sizes, summary)
    arrays = _arrays(site, operands, plan)
    rows = attend(plan, arrays)
    context = rows.context.astype(value.dtype)
    context = context.reshape(*batch, *context.shape[1:])
    found = rows._asdict()
    if summary.needs_weights:
        none = jnp.zeros((*rows.log_normalizer.shape, 0), jnp.int32)
        lanes = none if rows.lanes is None else rows.lanes
        found |= summarize_weights(
            plan, *jax.lax.stop_gradient((arrays, rows.softmax, lanes))
        )._asdict()
    known: dict[str, Any] = {
        name: x if x is None else jax.lax.stop_gradient(x.reshape(*batch, *x.shape[1:]))
        for name, x in found.items()
        if name in AttentionSummary._fields
    }
    return jnp.moveaxis(context, -3, -2), AttentionSummary(**known)


def _check_precision(query: jax.Array) -> None:
    if query.dtype.itemsize > 4:
        raise ValueError(
            f"streaming attention computes in float32 and query is {query.dtype}; "
            "attention(implementation='xla') keeps 64 bits."
        )


def without_unseen_keys(
    site: AttentionSite, operands: Operands, block_sizes: BlockSizes | None = None
) -> dict[str, jax.Array]:
    """Put zeros where no query may look: zero times the NaN that may stand there is NaN.

    Which keys are seen is found out only if there is anything but finite numbers.
    """
    key, value = operands["key"], operands["value"]
    plan = _plan(site, operands, block_sizes, Summary())
    *batch, num_keys, key_heads, _ = key.shape
    shape = (plan.batch, key_heads, num_keys)
    seen = jax.lax.cond(
        jnp.isfinite(key).all() & jnp.isfinite(value).all(),
        lambda: jnp.ones(shape, bool),
        lambda: seen_by_any(plan, jax.lax.stop_gradient(_arrays(site, operands, plan))),
    )
    seen = jnp.moveaxis(seen.reshape(*batch, key_heads, num_keys), -1, -2)[..., None]
    return {"key": jnp.where(seen, key, 0), "value": jnp.where(seen, value, 0)}


def _plan(
    site: AttentionSite, operands: Operands, block_sizes: BlockSizes | None, summary: Summary
) -> Plan:
    *batch, num_queries, num_heads, _ = operands["query"].shape
    num_keys = operands["key"].shape[-3]
    # Beyond all lengths, so that sums with positions stay in 32 bits.
    left, right = (min(side, _FAR) for side in site.window) if site.window else (None, None)
    if site.causal:
        right = 0
    block = _block(block_sizes, (num_queries, num_keys))
    half = operands["query"].dtype.itemsize < 4 and not _on_cpu()
    scale = float(default_scale(operands["query"], site.scale)) if half else 1.0
    grid = Grid(num_queries, num_keys, block, (left, right), site.softcap, scale)
    kernel = kernel_for(operands) if summary.top_k <= _MOST_LARGEST else None
    return Plan(
        grid, math.prod(batch), num_heads, summary, _on_cpu() and jax.device_count() == 1, kernel
    )


def kernel_for(operands: Operands) -> Kernel | None:
    """Which kernels serve a call here, if any do.

    They take no mask or bias that differs from query to query, and no more than 128 features.
    """
    query, key = operands["query"], operands["key"]
    features = max(query.shape[-1], operands["value"].shape[-1])
    by_key = all(operands[name].shape[-2] == 1 for name in ("mask", "bias") if name in operands)
    return kernel_compiler() if by_key and features <= 128 and query.size and key.size else None


def _block(asked: BlockSizes | None, sizes: Sequence[int]) -> BlockSizes:
    """Blocks at most as large as asked for, which share the tokens out evenly."""
    asked = _BLOCK_SIZES if asked is None else asked
    if len(asked) != 2 or min(asked) < 1:
        raise ValueError(
            f"block_sizes={asked} must be two positive numbers, of queries and of keys, as in "
            f"{_BLOCK_SIZES}."
        )
    return _even(asked[0], sizes[0]), _even(asked[1], sizes[1])


def _even(most: int, tokens: int) -> int:
    if tokens <= most:
        return max(tokens, 1)
    even = -(-tokens // -(-tokens // most))
    return min(most, -(-even // 128) * 128)


def _on_cpu() -> bool:
    return jax.default_backend() == "cpu"


def _arrays(site: AttentionSite, operands: Operands, plan: Plan) -> Arrays:
    """Each operand as `(b or 1, heads or 1, ...)`, padded to whole blocks."""
    batch = operands["query"].shape[:-3]
    pads = {"q": (0, plan.grid.padding[0]), "k": (0, plan.grid.padding[1]), ".": (0, 0)}
    query = operands["query"]
    if plan.grid.scale == 1.0:
        query = query.astype(jnp.promote_types(query.dtype, jnp.float32))
        query = query * default_scale(query, site.scale)
    found = {}
    for name, array, axes in (
        ("query", query, "q."),
        ("key", operands["key"], "k."),
        ("value", operands["value"], "k."),
    ):
        array = array.astype(jnp.float32) if _on_cpu() else array
        array = jnp.moveaxis(array, -2, -3)
        found[name] = jnp.pad(
            array.reshape(plan.batch, *array.shape[-3:]), ((0, 0), (0, 0), *(pads[a] for a in axes))
        )
    for name in ("mask", "bias"):
        if name in operands:
            array = flat_batch(operands[name], batch)
            sizes = zip("qk", array.shape[-2:], strict=True)
            sides = [pads[axis] if size > 1 else (0, 0) for axis, size in sizes]
            found[name] = jnp.pad(array, ((0, 0), (0, 0), *sides))
    for name, axis in (("query_segments", "q"), ("key_segments", "k")):
        if name in operands:
            array = operands[name]
            array = array.reshape(-1, 1, array.shape[-1])
            found[name] = jnp.pad(array, ((0, 0), (0, 0), pads[axis]))
    if "sinks" in operands:
        found["sink"] = flat_batch(operands["sinks"], batch)[..., 0, 0].astype(jnp.float32)
    offset = operands.get("query_offset", jnp.zeros((1,) * (len(batch) + 1), jnp.int32))
    found["offset"] = flat_batch(offset[..., None, None], batch)[..., 0, 0]
    return found

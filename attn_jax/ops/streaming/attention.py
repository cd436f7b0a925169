"""Attention of any length in memory that grows with the tokens, and an exact summary of it."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from attn_jax.ops.reference.derived import AttentionSite, Operands
from attn_jax.ops.reference.operands import (
    aligned_operands,
    attention_site,
    check_heads,
    sees_all,
    segment_operands,
)
from attn_jax.ops.streaming.dispatch import attend, seen_by_any, summarize_weights
from attn_jax.ops.streaming.plan import BlockSizes, arrays_of, plan_of
from attn_jax.ops.streaming.summary import AttentionSummary, Summary


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
    plan = plan_of(site, operands, block_sizes, summary)
    arrays = arrays_of(site, operands, plan)
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
    plan = plan_of(site, operands, block_sizes, Summary())
    *batch, num_keys, key_heads, _ = key.shape
    shape = (plan.batch, key_heads, num_keys)
    seen = jax.lax.cond(
        jnp.isfinite(key).all() & jnp.isfinite(value).all(),
        lambda: jnp.ones(shape, bool),
        lambda: seen_by_any(plan, jax.lax.stop_gradient(arrays_of(site, operands, plan))),
    )
    seen = jnp.moveaxis(seen.reshape(*batch, key_heads, num_keys), -1, -2)[..., None]
    return {"key": jnp.where(seen, key, 0), "value": jnp.where(seen, value, 0)}

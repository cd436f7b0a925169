"""Attention of any length in linear memory, and an exact summary of its weights."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Real

from attn_jax.ops.reference.operands import Call, checked_call
from attn_jax.ops.streaming.dispatch import attend, keys_seen, summarize_weights
from attn_jax.ops.streaming.plan import (
    BlockSizes,
    Plan,
    Streaming,
    arrays_of,
    plan_of,
    varying_zero,
)
from attn_jax.ops.streaming.ring.attention import Options, hide_unseen_around, stream_around
from attn_jax.ops.streaming.ring.axis import ring_of
from attn_jax.ops.streaming.summary import AttentionSummary, Summary


def streaming_attention(
    query: Real[Array, "*b q h d"],
    key: Real[Array, "*b k h_k d"],
    value: Real[Array, "*b k h_k e"],
    *,
    mask: Bool[Array, "..."] | None = None,
    bias: Real[Array, "..."] | None = None,
    key_mask: Bool[Array, "..."] | None = None,
    causal: bool = False,
    query_offset: int | Int[Array, "..."] = 0,
    window: int | tuple[int, int] | None = None,
    segment_ids: Int[Array, "..."] | tuple[Int[Array, "..."], Int[Array, "..."]] | None = None,
    scale: float | None = None,
    softcap: float | None = None,
    sinks: Real[Array, " h"] | None = None,
    block_sizes: BlockSizes | None = None,
    summary: Summary | None = None,
    implementation: Streaming = "auto",
) -> Float[Array, "*b q h e"] | tuple[Float[Array, "*b q h e"], AttentionSummary]:
    r"""Attend without ever holding an array of queries by keys, forward or backward.

    The same function as :func:`attention`, with the same options; softmax is carried along blocks
    of keys (the online softmax), and derivatives compute the weights of each block anew. Second
    derivatives alone take the whole map. With `summary` it returns statistics of the weights beside
    the context, exactly:

    .. math:: |x - x_\text{float64}| \le 10^{-5} \max(1, |x_\text{float64}|)
              \quad\text{for } |\text{scores}| \le 30

    Where a mesh has an axis `sequence` of several devices, no device holds the whole sequence: keys
    and values travel around the ring of these devices, forward and backward, and the summary is as
    exact as that of one device. This is the case under `jax.set_mesh`, if the axis divides the
    numbers of queries and keys, and inside of a `shard_map` in which the axis is manual. There each
    device gives its shard of all arrays, in plain order; `mask` and `bias` have the rows of its
    queries and the columns of all keys; `query_offset` is that of the first query of the whole
    sequence; and the summary's `pooled` is the same on all devices. Causal calls with shards of
    even length balance the work among the devices by a zig-zag of their own. A ring has derivatives
    of first order, in reverse mode.

    Args:
        query: `(*b, q, h, d)`.
        key: `(*b, k, h_k, d)`; where `h_k` divides `h`, each head serves a group of query heads.
        value: `(*b, k, h_k, e)`.
        mask: Boolean, `(*b, h, q, k)` with ones where it is shared, `(q, k)` or `(k,)`; True = may
            attend. A mask of that whole size is the caller's to hold; `key_mask`, `causal`,
            `window` and `segment_ids` need none.
        bias: Of the same shapes, added to the scores; minus infinity hides.
        key_mask: `(*b, k)`; True = the key exists.
        causal: Let each query see only the keys up to its own position.
        query_offset: The position of the first query among the keys; it may be traced, and differ
            along batch axes.
        window: How many keys to the left and to the right of its own position a query sees, ends
            included; one number is both. What no query of a block sees is not computed.
        segment_ids: Numbers, broadcastable to `(*b, tokens)`; a query sees the keys of its own
            number. A pair where queries and keys are not the same tokens.
        scale: Multiplies the inner products; :math:`1/\sqrt{d}` if None.
        softcap: The bound of the scaled products.
        sinks: One score for each head that takes part in the softmax and attends to nothing.
        block_sizes: At most how many queries and keys are in a block; they need not divide the
            lengths, and may exceed them; the kernels of GPUs and TPUs have powers of two. Chosen
            by measurement if None.
        summary: The statistics of the weights to compute. It does not change the context, and no
            gradient flows through them.
        implementation: `"kernel"`, the compiled kernels for CPUs (the package `attn-jax-cpu`);
            `"streaming"`, the form that XLA compiles there; or `"auto"`, which takes the kernels
            where they are installed and have all the options. `"ring"` refuses what is not divided
            over devices.

    Returns:
        The context; with `summary`, the context and an :class:`AttentionSummary`. A query that
        may attend to nothing gets zeros, and zero gradients.

    Raises:
        ValueError: If shapes do not fit together, an option is out of range, the summary asks for
            more keys or tiles than there are, the kernels that are asked for by name do not have
            an option, or a ring is asked for and there is none that divides the sequence.
        TypeError: If a mask is not boolean.
        ImportError: If kernels are asked for by name and not installed.

    Example:
        >>> x = jax.random.normal(jax.random.key(0), (1000, 2, 4))
        >>> options = {"causal": True, "summary": Summary(entropy=True, top_k=3, pooled=(10, 10))}
        >>> context, summary = streaming_attention(x, x, x, **options)
        >>> context.shape, summary.entropy.shape, summary.top_weights.shape, summary.pooled.shape
        ((1000, 2, 4), (2, 1000), (2, 1000, 3), (2, 10, 10))

    References:
        Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018.
        https://arxiv.org/abs/1805.02867
        Rabe and Staats, "Self-attention Does Not Need O(n²) Memory", 2021.
        https://arxiv.org/abs/2112.05682
        Dao et al., "FlashAttention", 2022. https://arxiv.org/abs/2205.14135
        Liu, Zaharia and Abbeel, "Ring Attention with Blockwise Transformers for Near-Infinite
        Context", 2023. https://arxiv.org/abs/2310.01889
        Brandon et al., "Striped Attention", 2023, on the work of causal rings.
        https://arxiv.org/abs/2311.09431
    """
    ring = ring_of(query, key, value, implementation=implementation)
    call = checked_call(
        query,
        key,
        value,
        mask=mask,
        bias=bias,
        key_mask=key_mask,
        segment_ids=segment_ids,
        causal=causal,
        query_offset=query_offset,
        window=window,
        scale=scale,
        softcap=softcap,
        sinks=sinks,
        ring_size=ring.size if ring and ring.is_manual else 1,
    )
    if ring is None:
        plan = plan_of(call, block_sizes, summary or Summary(), implementation)
        context, statistics = stream(plan, hide_unseen(plan, call))
    else:
        options = Options(ring, summary or Summary(), block_sizes, implementation)
        context, statistics = stream_around(options, hide_unseen_around(options, call))
    return context if summary is None else (context, statistics)


# Outside of `jit` the loops over blocks would compile anew at each call, since their bodies are new
# functions each time. These two functions stay the same, so their programs are found again.
@functools.partial(jax.jit, static_argnames="plan", inline=True)
def stream(plan: Plan, call: Call) -> tuple[Array, AttentionSummary]:
    """Attend block by block; return the context and the summary that was planned."""
    batch = call.query.shape[:-3]
    # One pass over the keys for the context and all statistics of single queries.
    arrays = arrays_of(plan, call)
    rows = attend(plan, arrays)
    context = rows.context.astype(call.value.dtype)
    context = context.reshape(*batch, *context.shape[1:])
    parts = rows._asdict()
    # A second pass for those that need finished weights: of the keys, of tiles, and the top k.
    if plan.summary.needs_weights:
        none = jnp.zeros((*rows.log_normalizer.shape, 0), jnp.int32)
        lanes = none if rows.lanes is None else rows.lanes
        stopped = jax.lax.stop_gradient((arrays, rows.softmax, lanes))
        sums = summarize_weights(plan, *stopped)._asdict()
        parts |= {name: x for name, x in sums.items() if x is not None}
    statistics: dict[str, Any] = {
        name: x if x is None else jax.lax.stop_gradient(x.reshape(*batch, *x.shape[1:]))
        for name, x in parts.items()
        if name in AttentionSummary._fields
    }
    return jnp.moveaxis(context, -3, -2), AttentionSummary(**statistics)


@functools.partial(jax.jit, static_argnames="plan", inline=True)
def hide_unseen(plan: Plan, call: Call) -> Call:
    """Put zeros where no query may look, as `Call.hide_unseen` does, without a map of the pairs.

    It searches for them only if a key or a value is not finite.
    """
    if call.sees_all:
        return call
    *batch, num_keys, _, _ = call.key.shape
    shape = plan.batch, plan.num_heads, num_keys
    is_seen = jax.lax.cond(
        jnp.isfinite(call.key).all() & jnp.isfinite(call.value).all(),
        lambda: jnp.broadcast_to(varying_zero(jax.tree.leaves(call)) == 0, shape),
        lambda: keys_seen(plan, jax.lax.stop_gradient(arrays_of(plan, call))),
    )
    return call.hide_unseen(is_seen.reshape(*batch, *shape[1:]))

"""What needs finished weights around the ring: sums of keys and tiles, and which keys are seen."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from attn_jax.ops.reference.operands import Call
from attn_jax.ops.streaming.dispatch import keys_seen, summarize_weights
from attn_jax.ops.streaming.forward import Softmax
from attn_jax.ops.streaming.plan import arrays_of, varying_zero
from attn_jax.ops.streaming.ring.pairs import Operands, Pair, over_pairs, shard_of
from attn_jax.ops.streaming.ring.plan import RingPlan
from attn_jax.ops.streaming.summary import Summary, tile_areas
from attn_jax.ops.streaming.summary_pass import Part, WeightStatistics, weight_statistics


def weight_sums(plan: RingPlan, call: Call, softmax: Softmax) -> WeightStatistics:
    """Compute what needs finished weights: the sums of the keys, which travel, and of tiles."""
    zero = varying_zero(jax.tree.leaves(call)).astype(jnp.float32)
    summary, of_heads = plan.summary, (plan.pair.batch, plan.pair.num_heads)
    # Values without features cost nothing, neither to send nor to weigh.
    call = dataclasses.replace(call, value=call.value[..., :0])
    received = jnp.zeros((*of_heads, call.key.shape[-3])) + zero if summary.received else None
    pooled = None
    if summary.pooled:
        # Tiles that two chunks share stand in the sums of both.
        room = [g if plan.tiles else 2 * g for g in summary.pooled]
        pooled = jnp.zeros((*of_heads, *room)) + zero

    def step(pair: Pair, shard: Operands, pooled: Any, received: Any) -> tuple[Any, Any]:
        arrays = arrays_of(plan.pair, pair.cut(shard))
        sums = _sums_of_pair(plan, pair, arrays, Softmax(*pair.of_rows(tuple(softmax))))
        if received is not None and sums.received is not None:
            received = pair.add("received", received, sums.received)
        if pooled is not None and sums.pooled is not None:
            first = _first_tiles(plan, pair)
            old = lax.dynamic_slice(pooled, (0, 0, *first), sums.pooled.shape)
            pooled = lax.dynamic_update_slice(pooled, old + sums.pooled, (0, 0, *first))
        return pooled, received

    hop = over_pairs(plan.layout, call, step)
    pooled, received = plan.layout.ring.around(hop, shard_of(call), pooled, received)
    if pooled is not None and summary.pooled:
        pooled = plan.layout.ring.sum(pooled[..., : summary.pooled[0], : summary.pooled[1]])
        if not plan.tiles:
            pooled = pooled / tile_areas(summary.pooled, *plan.lengths)[None, None]
    return WeightStatistics(received, pooled)


def _sums_of_pair(plan: RingPlan, pair: Pair, arrays: Any, softmax: Softmax) -> WeightStatistics:
    wanted = Summary(received=plan.summary.received, pooled=plan.tiles)
    none = jnp.zeros((*softmax.shift.shape, 0), jnp.int32)
    if plan.tiles or not plan.summary.pooled:
        here = dataclasses.replace(plan.pair, summary=wanted)
        return summarize_weights(here, arrays, softmax, none)
    # Tiles across the ends of chunks are for the form that XLA compiles alone.
    wanted = dataclasses.replace(wanted, pooled=plan.summary.pooled)
    part = Part(pair.starts, plan.lengths)
    of_head = functools.partial(weight_statistics, plan.pair.grid, wanted, part=part)
    return plan.pair.over_heads(of_head, arrays, softmax, none)


def _first_tiles(plan: RingPlan, pair: Pair) -> tuple[Array, Array]:
    assert plan.summary.pooled is not None
    return Part(pair.starts, plan.lengths).first_tiles(plan.summary.pooled)


def seen_keys(plan: RingPlan, call: Call) -> Array:
    """Return the keys, `(b, h, k)`, that at least one query on any device may see."""
    zero = varying_zero(jax.tree.leaves(call))
    shape = plan.pair.batch, plan.pair.num_heads, call.key.shape[-3]
    start = jnp.zeros(shape, jnp.int32) + zero

    def step(pair: Pair, shard: Operands, carry: None, seen: Array) -> tuple[None, Array]:
        here = keys_seen(plan.pair, arrays_of(plan.pair, pair.cut(shard)))
        return carry, pair.add("received", seen, here.astype(jnp.int32))

    hop = over_pairs(plan.layout, call, step)
    shard = shard_of(call, ("key_mask", "key_segments"))
    return plan.layout.ring.around(hop, shard, None, start)[1] > 0

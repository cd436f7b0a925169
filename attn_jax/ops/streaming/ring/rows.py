"""The context and the statistics of single queries around the ring, and their gradients."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from attn_jax.ops.reference.operands import Call
from attn_jax.ops.streaming.derivatives import attach
from attn_jax.ops.streaming.dispatch import attend, summarize_weights
from attn_jax.ops.streaming.forward import Rows, Softmax
from attn_jax.ops.streaming.plan import arrays_of, varying_zero
from attn_jax.ops.streaming.ring.merge import Merged, finished, merge, merged_rows
from attn_jax.ops.streaming.ring.pairs import Operands, Pair, over_pairs, shard_of
from attn_jax.ops.streaming.ring.plan import RingPlan
from attn_jax.ops.streaming.summary import Summary


def attend_rows(plan: RingPlan, floats: Operands, others: Operands) -> Rows:
    """Attend, and compute what belongs to single queries; only the context has derivatives.

    Args:
        plan: The plan.
        floats: The operands that have derivatives, by their names.
        others: The other operands.
    """
    return _attend_rows(plan, floats, others)


def _rows_of_ring(plan: RingPlan, floats: Operands, others: Operands) -> Rows:
    call = plan.call(floats | others)
    zero = varying_zero(jax.tree.leaves(call))
    start = _nothing(plan, call, zero)

    def step(pair: Pair, shard: Operands, carry: Merged, traveling: None) -> tuple[Merged, None]:
        first_key = pair.starts[1]
        rows = merged_rows(_rows(plan, arrays_of(plan.pair, pair.cut(shard))), first_key)
        rows = _with_room(rows, plan.summary.top_k)
        return pair.put_rows(carry, merge(pair.of_rows(carry), rows)), traveling

    hop = over_pairs(plan.layout, call, step)
    merged, _ = plan.layout.ring.around(hop, shard_of(call), start, None)
    return finished(plan.summary, merged, _sink(plan, call))


def _rows(plan: RingPlan, arrays: Any) -> Rows:
    """Attend to one chunk, its largest weights included."""
    rows, pair = attend(plan.pair, arrays), plan.pair
    if not pair.summary.top_k or rows.top_weights is not None:
        return rows
    # Where the first pass knows only the lanes of the largest, a second finds them, normalized as
    # if there were no other shard: that way nothing is kept of each shard.
    chosen = dataclasses.replace(pair, summary=Summary(top_k=pair.summary.top_k))
    none = jnp.zeros((*rows.log_normalizer.shape, 0), jnp.int32)
    lanes = none if rows.lanes is None else rows.lanes
    top = summarize_weights(chosen, arrays, rows.softmax, lanes)
    return rows._replace(top_weights=top.top_weights, top_indices=top.top_indices, lanes=None)


def _nothing(plan: RingPlan, call: Call, zero: Array) -> Merged:
    """Return the sums over no keys."""
    shape = plan.pair.batch, plan.pair.num_heads, call.query.shape[-3]
    summary, features, k = plan.summary, call.value.shape[-1], plan.summary.top_k

    def zeros(*more: int) -> Array:
        return jnp.zeros((*shape, *more)) + zero.astype(jnp.float32)

    return merged_rows(
        Rows(
            context=zeros(features),
            softmax=Softmax(zeros(), zeros() + jnp.inf),
            log_normalizer=zeros(),
            entropy=zeros() if summary.entropy else None,
            max_logit=None,
            lanes=None,
            distance=zeros() if summary.distance else None,
            top_weights=zeros(k) if k else None,
            top_indices=zeros(k).astype(jnp.int32) if k else None,
        ),
        zero,
    )


def _with_room(merged: Merged, k: int) -> Merged:
    """Fill the largest terms up with zeros, where a chunk has fewer keys."""
    if merged.top_sums is None or merged.top_keys is None:
        return merged
    rest = (0, 0), (0, 0), (0, 0), (0, k - merged.top_sums.shape[-1])
    return merged._replace(
        top_sums=jnp.pad(merged.top_sums, rest), top_keys=jnp.pad(merged.top_keys, rest)
    )


def _sink(plan: RingPlan, call: Call) -> Array | None:
    if "sinks" not in call.optional:
        return None
    sinks = call.optional["sinks"].astype(jnp.float32)
    return jnp.broadcast_to(sinks.reshape(1, -1), (plan.pair.batch, plan.pair.num_heads))


def _forward(plan: RingPlan, floats: Operands, others: Operands) -> tuple[Rows, Any]:
    rows = _rows_of_ring(plan, floats, others)
    return rows, (floats, others, rows.softmax, rows.context)


def _backward(plan: RingPlan, saved: Any, cotangents: Rows) -> tuple[Operands, None]:
    """Pull the cotangent of the context back: the ring again, with key's and value's gradients.

    Each pair of chunks adds its part, as the pass of one device does, from the softmax over all
    keys and the whole context.
    """
    floats, others, softmax, context = saved
    call = plan.call(floats | others)
    cotangent = cotangents.context
    zero = varying_zero(jax.tree.leaves(call))
    start = {name: jnp.zeros(x.shape) + zero.astype(jnp.float32) for name, x in floats.items()}
    traveling = {name: start.pop(name) for name in ("key", "value")}
    start.pop("sinks", None)

    def step(pair: Pair, shard: Operands, carry: Operands, traveling: Operands) -> Any:
        *rows, toward = pair.of_rows((*softmax, context, cotangent))
        cut = pair.cut(shard)

        def context_of(floats: Operands) -> Array:
            main = {name: floats[name] for name in ("query", "key", "value")}
            optional = cut.optional | {name: x for name, x in floats.items() if name not in main}
            arrays = arrays_of(plan.pair, dataclasses.replace(cut, **main, optional=optional))
            return attach(plan.pair, arrays, Softmax(*rows[:2]), rows[2])

        given = {name: cut.operands[name] for name in (*carry, *traveling)}
        (pulled,) = jax.vjp(context_of, given)[1](toward)
        carry = {name: pair.add(name, x, pulled[name]) for name, x in carry.items()}
        traveling = {name: pair.add(name, x, pulled[name]) for name, x in traveling.items()}
        return carry, traveling

    hop = over_pairs(plan.layout, call, step)
    carry, traveled = plan.layout.ring.around(hop, shard_of(call), start, traveling)
    gradients = carry | traveled
    if "sinks" in floats:
        gradients["sinks"] = _sink_gradient(plan, call, softmax, (context * cotangent).sum(-1))
    return {name: x.astype(floats[name].dtype) for name, x in gradients.items()}, None


def _sink_gradient(plan: RingPlan, call: Call, softmax: Softmax, mean: Array) -> Array:
    """Pull the cotangent of the context back to the sinks, as `backward` does."""

    def share(sinks: Array) -> Array:
        # The exponential is its own derivative.
        scores = _sink(plan, dataclasses.replace(call, optional={"sinks": sinks}))
        assert scores is not None
        return -(jnp.exp(scores[..., None] - softmax.shift - softmax.log_sum) * mean).sum()

    return jax.grad(share)(call.optional["sinks"])


_attend_rows: Any = jax.custom_vjp(_rows_of_ring, nondiff_argnums=(0,))
_attend_rows.defvjp(_forward, _backward)

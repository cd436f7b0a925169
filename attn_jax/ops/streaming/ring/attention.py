"""Streaming attention around a ring of devices, entered from a whole array or from a shard."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import AxisType, PartitionSpec

from attn_jax.ops.devices import varying_axes
from attn_jax.ops.reference.operands import Call
from attn_jax.ops.streaming.cpu import library
from attn_jax.ops.streaming.plan import BlockSizes, Streaming, plan_of, varying_zero
from attn_jax.ops.streaming.ring.axis import AXIS, Ring
from attn_jax.ops.streaming.ring.layout import TOKENS, Layout, layout_of, scattered, with_operands
from attn_jax.ops.streaming.ring.pairs import Pair, shard_of
from attn_jax.ops.streaming.ring.plan import RingPlan
from attn_jax.ops.streaming.ring.rows import attend_rows
from attn_jax.ops.streaming.ring.sums import seen_keys, weight_sums
from attn_jax.ops.streaming.summary import AttentionSummary, Summary

_FLOATS = ("query", "key", "value", "bias", "sinks")
_OF_QUERIES = ("log_normalizer", "entropy", "max_logit", "top_weights", "top_indices", "distance")


@dataclasses.dataclass(frozen=True)
class Options:
    """How a call goes around.

    Attributes:
        ring: The devices.
        summary: The statistics of the weights to compute.
        block_sizes: As of :func:`streaming_attention`.
        implementation: As of :func:`streaming_attention`; how each device computes its part.
    """

    ring: Ring
    summary: Summary = dataclasses.field(default_factory=Summary)
    block_sizes: BlockSizes | None = None
    implementation: Streaming = "auto"


@functools.partial(jax.jit, static_argnames="options", inline=True)
def stream_around(options: Options, call: Call) -> tuple[Array, AttentionSummary]:
    """Attend; return the context and the summary, divided over the devices as the queries are.

    Of the summary, `received` is divided as the keys are, and `pooled` is the same everywhere.
    """
    summary, ring = options.summary, options.ring
    if ring.is_manual:
        return _stream(options, call)
    batch = _batch_entries(ring, call)
    rows, tiles = PartitionSpec(*batch, None, AXIS), PartitionSpec(*batch)
    fields = {
        "log_normalizer": rows,
        "entropy": rows if summary.entropy else None,
        "max_logit": rows if summary.max_logit else None,
        "top_weights": rows if summary.top_k else None,
        "top_indices": rows if summary.top_k else None,
        "received": rows if summary.received else None,
        "distance": rows if summary.distance else None,
        "pooled": tiles if summary.pooled else None,
    }
    out_specs = PartitionSpec(*batch, AXIS), AttentionSummary(**fields)
    return _enter(ring, functools.partial(_stream, options), call, out_specs)


@functools.partial(jax.jit, static_argnames="options", inline=True)
def hide_unseen_around(options: Options, call: Call) -> Call:
    """Put zeros where no query on any device may look."""
    if call.sees_all:
        return call
    if options.ring.is_manual:
        return _hide_unseen(options, call)
    out_specs = tuple(_spec(options.ring, call, name) for name in ("key", "value"))

    def hidden(call: Call) -> tuple[Array, Array]:
        call = _hide_unseen(options, call)
        return call.key, call.value

    key, value = _enter(options.ring, hidden, call, out_specs)
    return dataclasses.replace(call, key=key, value=value)


def _stream(options: Options, call: Call) -> tuple[Array, AttentionSummary]:
    """Attend on each device of the ring."""
    batch = call.query.shape[:-3]
    layout = layout_of(options.ring, call)
    call = scattered(layout, _varying(call))
    plan = _plan(options, layout, call)
    others = call.operands
    floats = {name: others.pop(name) for name in _FLOATS if name in others}
    rows = attend_rows(plan, floats, others)
    context = rows.context.astype(call.value.dtype)
    parts = rows._asdict()
    if options.summary.received or options.summary.pooled:
        stopped = lax.stop_gradient((call, rows.softmax))
        sums = weight_sums(plan, *stopped)
        parts |= {"received": sums.received, "pooled": sums.pooled}
    statistics: dict[str, Any] = {}
    for name, x in parts.items():
        if name in AttentionSummary._fields and x is not None:
            x = lax.stop_gradient(x) if name == "pooled" else layout.gather(lax.stop_gradient(x), 2)
            statistics[name] = x.reshape(*batch, *x.shape[1:])
    context = layout.gather(context, 2).reshape(*batch, *context.shape[1:])
    return jnp.moveaxis(context, -3, -2), AttentionSummary(**statistics)


def _hide_unseen(options: Options, call: Call) -> Call:
    call = _varying(call)
    layout = layout_of(options.ring, call)
    *batch, num_keys, _, _ = call.key.shape
    is_finite = jnp.isfinite(call.key).all() & jnp.isfinite(call.value).all()
    # All devices of the mesh must take the same branch, for shards are exchanged in one.
    axes = tuple(jax.sharding.get_abstract_mesh().manual_axes)
    is_finite = lax.pmin(is_finite.astype(jnp.int32), axes) > 0

    def search() -> Array:
        here = scattered(layout, lax.stop_gradient(call))
        plan = _plan(dataclasses.replace(options, summary=Summary()), layout, here)
        return layout.gather(seen_keys(plan, here), 2).reshape(*batch, -1, num_keys)

    def all_of() -> Array:
        shape = *batch, call.query.shape[-2], num_keys
        return jnp.broadcast_to(varying_zero(jax.tree.leaves(call)) == 0, shape)

    is_seen = lax.cond(is_finite, all_of, search)
    return call.hide_unseen(is_seen)


def _varying(call: Call) -> Call:
    """Let operands that are the same on all devices vary, so that their gradients are summed."""
    here = lax.axis_index(AXIS) * 0
    everywhere = here + varying_zero(jax.tree.leaves(call))

    def vary(name: str, x: Array) -> Array:
        # An offset that is the same for a whole batch stays so under `vmap`.
        zero = everywhere if name in _FLOATS else here
        return x | zero.astype(bool) if x.dtype == bool else x + zero.astype(x.dtype)

    return with_operands(call, {name: vary(name, x) for name, x in call.operands.items()})


def _plan(options: Options, layout: Layout, call: Call) -> RingPlan:
    """Plan the calls of two chunks, which are all alike."""
    summary, zero = options.summary, jnp.int32(0)
    pair = Pair(layout, call, zero, zero, zero)
    summary.check(*(n * layout.number for n in pair.sizes))
    here = dataclasses.replace(
        summary, top_k=min(summary.top_k, pair.sizes[1]), pooled=None, max_logit=False
    )
    given = pair.cut(shard_of(call)), options.block_sizes, here
    how: Streaming = options.implementation
    is_local = options.ring.is_local
    if how in ("auto", "ring"):
        how = "kernel" if is_local and library.serves_part(*given) else "streaming"
    plan = plan_of(*given, how)
    # Pallas has no results that vary over devices, and no way to divide what others left whole.
    is_pallas = plan.kernel in ("triton", "mosaic")
    if is_pallas and (varying_axes(call.query) or not is_local):
        plan = dataclasses.replace(plan, kernel=None)
    one_by_one = is_local and jax.default_backend() == "cpu"
    plan = dataclasses.replace(plan, sequential=one_by_one)
    return RingPlan(layout, plan, summary, call.formula)


def _enter(ring: Ring, function: Callable[[Call], Any], call: Call, out_specs: Any) -> Any:
    """Call a function on each device's part of a call."""
    operands = call.operands
    specs = {name: _spec(ring, call, name) for name in operands}
    mesh = jax.sharding.get_abstract_mesh()
    types = dict(zip(mesh.axis_names, mesh.axis_types, strict=True))
    if any(types[name] == AxisType.Explicit for name in ring.manual_axes):
        # Where shardings are part of types, they are not changed without a word.
        operands = jax.sharding.reshard(operands, specs)
    entered = jax.shard_map(
        lambda operands: function(with_operands(call, operands)),
        in_specs=(specs,),
        out_specs=out_specs,
        axis_names=ring.manual_axes,
        check_vma=jax.default_backend() == "cpu",  # for Pallas, see `_plan`
    )
    return entered(operands)


def _batch_entries(ring: Ring, call: Call) -> list[Any]:
    """Return the axes that each batch axis is divided over."""
    return [ring.batch_axes or None if n == 0 else None for n in range(call.query.ndim - 3)]


def _spec(ring: Ring, call: Call, name: str) -> PartitionSpec:
    """Return how an operand is divided."""
    array = call.operands[name]
    entries: list[Any] = [None] * array.ndim
    batch = _batch_entries(ring, call)
    if batch and name != "sinks" and array.shape[0] > 1:
        entries[0] = batch[0]
    if name in TOKENS and array.shape[TOKENS[name]] > 1:
        entries[TOKENS[name]] = AXIS
    return PartitionSpec(*entries)

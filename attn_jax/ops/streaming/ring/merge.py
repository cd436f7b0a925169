"""The online softmax over shards: the sums over some keys, joined with those over others."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from attn_jax.ops.streaming.blocks import Head
from attn_jax.ops.streaming.forward import Rows, Running, finish
from attn_jax.ops.streaming.summary import Summary

_LOWEST = jnp.finfo(jnp.float32).min


class Merged(NamedTuple):
    """The sums of some queries over the keys so far, `(b, h, q, ...)`.

    Attributes:
        sums: As `forward` carries them along the blocks of keys.
        top_sums: The largest terms of the sum of exponentials, the largest first.
        top_keys: The keys of these, by their place in the sequence.
    """

    sums: Running
    top_sums: Array | None
    top_keys: Array | None


def merged_rows(rows: Rows, first_key: Array) -> Merged:
    """Return the sums that finished rows were made from.

    Args:
        rows: The rows over the keys of a chunk.
        first_key: The place of the first of these keys in the sequence.
    """
    is_empty = rows.softmax.log_sum == jnp.inf
    log_total = jnp.where(is_empty, 0, rows.softmax.log_sum)
    total = jnp.where(is_empty, 0, jnp.exp(log_total))
    entropy, distance, top = rows.entropy, rows.distance, rows.top_weights
    sums = Running(
        running_max=jnp.where(is_empty, -jnp.inf, rows.softmax.shift),
        total=total,
        context=rows.context * total[..., None],
        entropy_sum=None if entropy is None else total * (log_total - entropy),
        distance=None if distance is None else total * distance,
        lanes=None,
    )
    if top is None or rows.top_indices is None:
        return Merged(sums, None, None)
    return Merged(sums, top * total[..., None], rows.top_indices + first_key)


def merge(one: Merged, other: Merged) -> Merged:
    """Join the sums over some keys with those over others."""
    largest = jnp.maximum(one.sums.running_max, other.sums.running_max)
    parts = _relative_to(largest, one), _relative_to(largest, other)
    sums = jax.tree.map(jnp.add, *(part.sums._replace(running_max=None) for part in parts))
    sums = sums._replace(running_max=largest)
    tops = [(part.top_sums, part.top_keys) for part in parts]
    if one.top_sums is None:
        return Merged(sums, None, None)
    terms, keys = jax.tree.map(lambda x, y: jnp.concatenate([x, y], -1), *tops)
    terms, places = lax.top_k(terms, one.top_sums.shape[-1])
    return Merged(sums, terms, jnp.take_along_axis(keys, places, axis=-1))


def _relative_to(largest: Array, merged: Merged) -> Merged:
    """Rescale sums from their own maximum to a larger one."""
    sums, top, keys = merged
    shift = jnp.where(largest == -jnp.inf, 0, largest)
    log_rescale = jnp.maximum(sums.running_max - shift, _LOWEST)
    rescale = jnp.exp(log_rescale)
    entropy, distance = sums.entropy_sum, sums.distance
    moved = Running(
        running_max=largest,
        total=rescale * sums.total,
        context=rescale[..., None] * sums.context,
        entropy_sum=None if entropy is None else rescale * (entropy + log_rescale * sums.total),
        distance=None if distance is None else rescale * distance,
        lanes=None,
    )
    return Merged(moved, None if top is None else rescale[..., None] * top, keys)


def finished(summary: Summary, merged: Merged, sink: Array | None) -> Rows:
    """Divide by the sums over all keys.

    Args:
        summary: The statistics that were computed.
        merged: The sums.
        sink: `(b, h)`; the score that takes part and has no value.
    """

    def of_head(sums: Running, sink: Array | None) -> Rows:
        nothing = jnp.zeros(0)
        return finish(summary, Head(*(nothing,) * 4, sink=sink), sums)

    rows = jax.vmap(jax.vmap(of_head))(merged.sums, sink)
    if merged.top_sums is None or merged.top_keys is None:
        return rows
    largest = jnp.where(merged.sums.total > 0, merged.sums.running_max, -jnp.inf)
    share = jnp.exp(largest - rows.softmax.shift - rows.softmax.log_sum)
    weights = merged.top_sums * share[..., None]
    return rows._replace(
        top_weights=weights, top_indices=jnp.where(weights > 0, merged.top_keys, -1)
    )

"""Softmax carried along the keys: the context of one head, and what is known of its weights."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from attn_jax.ops.streaming.blocks import Grid, Head
from attn_jax.ops.streaming.summary import Summary

_LOWEST = jnp.finfo(jnp.float32).min


class Softmax(NamedTuple):
    """How scores become weights: `exp(score - shift - log_sum)`.

    The two parts are kept apart: their sum would lose what small weights differ by.

    Attributes:
        shift: The largest score (or sink) of each query; 0 where it may look at nothing.
        log_sum: The logarithm of the sum of `exp(score - shift)`; infinite where there is none.
    """

    shift: Array
    log_sum: Array

    def weights(self, scores: Array) -> Array:
        """The weights of a block."""
        return jnp.exp(scores - self.shift[:, None] - self.log_sum[:, None])


class Running(NamedTuple):
    """What is carried along the keys, for a block of queries.

    Attributes:
        largest: The largest score so far.
        total: The sum of `exp(score - largest)`.
        context: The sum of the values, each times that.
        surprise: The sum of `score - largest`, each times that.
        distance: The sum of the distances, each times that.
        lanes: The largest scores so far of each lane of keys, see `Grid.lanes`.
    """

    largest: Array
    total: Array
    context: Array
    surprise: Array | None
    distance: Array | None
    lanes: Array | None


class Rows(NamedTuple):
    """The finished quantities of some queries; see `AttentionSummary`."""

    context: Array
    softmax: Softmax
    log_normalizer: Array
    entropy: Array | None
    max_logit: Array | None
    lanes: Array | None
    distance: Array | None


def forward(grid: Grid, summary: Summary, head: Head) -> Rows:
    """Attend with one head; all that belongs to one query each, in one pass over the keys."""

    def of_block(i: Array) -> Rows:
        def step(j: ArrayLike, carry: Running, is_edge: bool) -> Running:
            return advance(grid, summary, head, i, j, carry, is_edge)

        carry = grid.sweep(i, head.offset, step, begin(grid, summary, head))
        return finish(summary, head, carry)

    blocks = lax.map(of_block, jnp.arange(grid.blocks[0]))
    return jax.tree.map(lambda x: lax.collapse(x, 0, 2)[: grid.num_queries], blocks)


def begin(grid: Grid, summary: Summary, head: Head) -> Running:
    """What a block of queries has before it has seen a key."""
    zeros, k = grid.zeros(head, grid.block[0]), summary.top_k
    return Running(
        largest=zeros - jnp.inf,
        total=zeros,
        context=grid.zeros(head, grid.block[0], head.value.shape[-1]),
        surprise=zeros if summary.entropy else None,
        distance=zeros if summary.distance else None,
        lanes=grid.zeros(head, grid.block[0], grid.lanes(k)) - jnp.inf if k else None,
    )


def advance(
    grid: Grid,
    summary: Summary,
    head: Head,
    i: ArrayLike,
    j: ArrayLike,
    carry: Running,
    is_edge: bool,
) -> Running:
    """Take in a block of keys."""
    scores = grid.scores(head, i, j, is_edge)
    if carry.lanes is None:
        largest = scores.max(axis=1)
    else:
        dealt = scores.reshape(grid.block[0], -1, carry.lanes.shape[1]).max(axis=1)
        carry = carry._replace(lanes=jnp.maximum(carry.lanes, dealt))
        largest = dealt.max(axis=1)
    largest = jnp.maximum(carry.largest, largest)
    shift = jnp.where(largest == -jnp.inf, 0, largest)
    # Minus infinity stays out of products with zero.
    shifted = jnp.maximum(scores - shift[:, None], _LOWEST)
    change = jnp.maximum(carry.largest - shift, _LOWEST)
    weights, shrink = jnp.exp(shifted), jnp.exp(change)
    value = grid.columns(head.value, j)
    carry = carry._replace(
        largest=largest,
        total=shrink * carry.total + weights.sum(axis=1),
        context=shrink[:, None] * carry.context
        + grid.product("qk,ke->qe", weights.astype(value.dtype), value),
        surprise=None
        if carry.surprise is None
        else shrink * (carry.surprise + change * carry.total) + (weights * shifted).sum(axis=1),
    )
    if carry.distance is not None:
        away = jnp.abs(grid.queries(i)[:, None] + head.offset - grid.keys(j)[None, :])
        carry = carry._replace(
            distance=shrink * carry.distance + (weights * away.astype(jnp.float32)).sum(axis=1)
        )
    return carry


def finish(summary: Summary, head: Head, carry: Running) -> Rows:
    """Divide by the sums, to which a sink adds itself."""
    shift = carry.largest if head.sink is None else jnp.maximum(carry.largest, head.sink)
    shift = jnp.where(shift == -jnp.inf, 0, shift)
    change = jnp.maximum(carry.largest - shift, _LOWEST)
    shrink = jnp.exp(change)
    in_all = shrink * carry.total
    total = in_all if head.sink is None else in_all + jnp.exp(head.sink - shift)
    log_total = jnp.log(total)
    is_empty = total == 0
    scale = jnp.where(is_empty, 0, shrink / jnp.where(is_empty, 1, total))
    softmax = Softmax(shift, jnp.where(is_empty, jnp.inf, log_total))
    entropy = None
    if carry.surprise is not None:
        # Every term is positive, so that no digit is lost to a difference.
        entropy = jnp.where(is_empty, 0, log_total) * carry.total * scale
        entropy -= scale * (carry.surprise + change * carry.total)
    # The k largest scores are all in the k lanes whose maxima are the largest.
    lanes = None
    if carry.lanes is not None:
        lanes = lax.top_k(carry.lanes, min(summary.top_k, carry.lanes.shape[1]))[1]
    return Rows(
        context=carry.context * scale[:, None],
        softmax=softmax,
        log_normalizer=shift + log_total,
        entropy=entropy,
        max_logit=carry.largest if summary.max_logit else None,
        lanes=lanes,
        distance=None if carry.distance is None else scale * carry.distance,
    )


def visible_keys(grid: Grid, head: Head) -> Array:
    """Which keys at least one query may look at."""

    def of_queries(i: Array, seen: Array) -> Array:
        def step(j: ArrayLike, seen: Array, is_edge: bool) -> Array:
            visible = grid.visible(head, i, j, is_edge)
            here = True if visible is None else (visible & is_query(i)).any(axis=0)
            start = (j * grid.block[1],)
            old = lax.dynamic_slice(seen, start, (grid.block[1],))
            return lax.dynamic_update_slice(seen, old | here, start)

        return grid.sweep(i, head.offset, step, seen)

    def is_query(i: Array) -> Array:
        return (grid.queries(i) < grid.num_queries)[:, None]

    seen = grid.zeros(head, grid.num_keys + grid.padding[1], dtype=bool)
    return lax.fori_loop(0, grid.blocks[0], of_queries, seen)[: grid.num_keys]

"""The online softmax: the context of one head and the statistics of its weights, in one pass."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from attn_jax.ops.streaming.blocks import Grid, Head
from attn_jax.ops.streaming.summary import Summary

_LOWEST = jnp.finfo(jnp.float32).min


class Softmax(NamedTuple):
    """The normalizer of each query: a weight is `exp(score - shift - log_sum)`.

    The two parts are kept apart: their sum would lose what small weights differ by.

    Attributes:
        shift: The largest score (or sink) of each query; 0 where it may look at nothing.
        log_sum: The logarithm of the sum of `exp(score - shift)`; infinite where there is none.
    """

    shift: Array
    log_sum: Array

    def weights(self, scores: Array) -> Array:
        """Return the weights of a block."""
        return jnp.exp(scores - self.shift[:, None] - self.log_sum[:, None])


class Running(NamedTuple):
    """The sums that a block of queries carries along the keys (m, l and O of FlashAttention).

    Attributes:
        running_max: The largest score so far.
        total: The sum of `exp(score - running_max)`.
        context: The sum of the values, each times that.
        entropy_sum: The sum of `score - running_max`, each times that.
        distance: The sum of the distances, each times that.
        lanes: The largest scores so far of each lane of keys, see `Grid.lanes`.
    """

    running_max: Array
    total: Array
    context: Array
    entropy_sum: Array | None
    distance: Array | None
    lanes: Array | None


class Rows(NamedTuple):
    """The finished quantities of some queries; see `AttentionSummary`.

    The kernels for CPUs find the largest weights here already, others by `lanes` in a second pass.
    """

    context: Array
    softmax: Softmax
    log_normalizer: Array
    entropy: Array | None
    max_logit: Array | None
    lanes: Array | None
    distance: Array | None
    top_weights: Array | None = None
    top_indices: Array | None = None


def forward(grid: Grid, summary: Summary, head: Head) -> Rows:
    """Attend with one head, and compute all that belongs to single queries."""

    def of_block(i: Array) -> Rows:
        def step(j: ArrayLike, carry: Running, is_edge: bool) -> Running:
            return advance(grid, summary, head, i, j, carry, is_edge)

        carry = grid.sweep(i, head.offset, step, begin(grid, summary, head))
        return finish(summary, head, carry)

    blocks = lax.map(of_block, jnp.arange(grid.blocks[0]))
    return jax.tree.map(lambda x: lax.collapse(x, 0, 2)[: grid.num_queries], blocks)


def begin(grid: Grid, summary: Summary, head: Head) -> Running:
    """Return the sums of a block of queries over no keys."""
    zeros, k = grid.zeros(head, grid.block[0]), summary.top_k
    return Running(
        running_max=zeros - jnp.inf,
        total=zeros,
        context=grid.zeros(head, grid.block[0], head.value.shape[-1]),
        entropy_sum=zeros if summary.entropy else None,
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
    """Add a block of keys to the sums."""
    scores = grid.scores(head, i, j, is_edge)

    # The running max keeps every exponential at most one, so that none overflows. Lanes of keys
    # have maxima of their own: they hold the top k, and their maximum is that of the block.
    if carry.lanes is None:
        block_max = scores.max(axis=1)
    else:
        by_lane = scores.reshape(grid.block[0], -1, carry.lanes.shape[1]).max(axis=1)
        carry = carry._replace(lanes=jnp.maximum(carry.lanes, by_lane))
        block_max = by_lane.max(axis=1)
    running_max = jnp.maximum(carry.running_max, block_max)
    shift = jnp.where(running_max == -jnp.inf, 0, running_max)

    # The weights of the block, not yet divided by their sum. The lowest number stands for minus
    # infinity, which would make NaN of products with zero.
    shifted = jnp.maximum(scores - shift[:, None], _LOWEST)
    weights = jnp.exp(shifted)

    # Earlier sums were relative to the old maximum: rescale them to the new one (alpha).
    log_rescale = jnp.maximum(carry.running_max - shift, _LOWEST)
    rescale = jnp.exp(log_rescale)
    value = grid.columns(head.value, j)
    context = grid.product("qk,ke->qe", weights.astype(value.dtype), value)
    next_carry = carry._replace(
        running_max=running_max,
        total=rescale * carry.total + weights.sum(axis=1),
        context=rescale[:, None] * carry.context + context,
    )

    # Each term of the entropy holds the maximum itself, so its sum moves by that of the weights.
    if carry.entropy_sum is not None:
        moved = rescale * (carry.entropy_sum + log_rescale * carry.total)
        next_carry = next_carry._replace(entropy_sum=moved + (weights * shifted).sum(axis=1))
    if carry.distance is not None:
        distance = jnp.abs(grid.queries(i)[:, None] + head.offset - grid.keys(j)[None, :])
        of_block = (weights * distance.astype(jnp.float32)).sum(axis=1)
        next_carry = next_carry._replace(distance=rescale * carry.distance + of_block)
    return next_carry


def finish(summary: Summary, head: Head, carry: Running) -> Rows:
    """Divide by the sums, to which a sink adds itself."""
    # A sink is one more key, so it takes part in the maximum and needs a last rescaling.
    shift = carry.running_max
    shift = shift if head.sink is None else jnp.maximum(shift, head.sink)
    shift = jnp.where(shift == -jnp.inf, 0, shift)
    log_rescale = jnp.maximum(carry.running_max - shift, _LOWEST)
    rescale = jnp.exp(log_rescale)
    total = rescale * carry.total
    total = total if head.sink is None else total + jnp.exp(head.sink - shift)

    # Only a query that sees nothing has a sum of zero: the maximum alone contributes one.
    is_empty = total == 0
    log_total = jnp.log(total)
    scale = jnp.where(is_empty, 0, rescale / jnp.where(is_empty, 1, total))
    softmax = Softmax(shift, jnp.where(is_empty, jnp.inf, log_total))

    entropy = None
    if carry.entropy_sum is not None:
        # Every term is positive, so that no digit is lost to a difference.
        entropy = jnp.where(is_empty, 0, log_total) * carry.total * scale
        entropy -= scale * (carry.entropy_sum + log_rescale * carry.total)

    # The k largest scores are all in the k lanes whose maxima are the largest.
    lanes = None
    if carry.lanes is not None:
        lanes = lax.top_k(carry.lanes, min(summary.top_k, carry.lanes.shape[1]))[1]
    return Rows(
        context=carry.context * scale[:, None],
        softmax=softmax,
        log_normalizer=shift + log_total,
        entropy=entropy,
        max_logit=carry.running_max if summary.max_logit else None,
        lanes=lanes,
        distance=None if carry.distance is None else scale * carry.distance,
    )


def visible_keys(grid: Grid, head: Head) -> Array:
    """Return the keys that at least one query may look at."""

    def of_queries(i: Array, is_seen: Array) -> Array:
        def step(j: ArrayLike, is_seen: Array, is_edge: bool) -> Array:
            visible = grid.visible(head, i, j, is_edge)
            here = True if visible is None else (visible & is_query(i)).any(axis=0)
            start = (j * grid.block[1],)
            old = lax.dynamic_slice(is_seen, start, (grid.block[1],))
            return lax.dynamic_update_slice(is_seen, old | here, start)

        return grid.sweep(i, head.offset, step, is_seen)

    def is_query(i: Array) -> Array:
        return (grid.queries(i) < grid.num_queries)[:, None]

    is_seen = grid.zeros(head, grid.num_keys + grid.padding[1], dtype=bool)
    return lax.fori_loop(0, grid.blocks[0], of_queries, is_seen)[: grid.num_keys]

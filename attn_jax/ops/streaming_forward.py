"""Softmax carried along the keys: the context of one head, and what is known of its weights."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from attn_jax.ops.streaming_blocks import Grid, Head, product
from attn_jax.ops.summary import Summary, tile_areas, tile_of

_LOWEST = jnp.finfo(jnp.float32).min
_LANES = 128


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
        lanes: The largest scores so far of each lane of keys.
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
            return _step(grid, summary, head, i, j, carry, is_edge)

        carry = grid.sweep(i, head.offset, step, _start(grid, summary, head))
        return _finish(summary, head, carry)

    blocks = lax.map(of_block, jnp.arange(grid.blocks[0]))
    return jax.tree.map(lambda x: lax.collapse(x, 0, 2)[: grid.num_queries], blocks)


def _start(grid: Grid, summary: Summary, head: Head) -> Running:
    zeros, k = jnp.zeros(grid.block[0]), summary.top_k
    return Running(
        largest=jnp.full(grid.block[0], -jnp.inf),
        total=zeros,
        context=jnp.zeros((grid.block[0], head.value.shape[-1])),
        surprise=zeros if summary.entropy else None,
        distance=zeros if summary.distance else None,
        lanes=jnp.full((grid.block[0], grid.lanes(k)), -jnp.inf) if k else None,
    )


def _step(
    grid: Grid,
    summary: Summary,
    head: Head,
    i: ArrayLike,
    j: ArrayLike,
    carry: Running,
    is_edge: bool,
) -> Running:
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
        + product("qk,ke->qe", weights.astype(value.dtype), value),
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


def _largest(numbers: Array, k: int) -> tuple[Array, Array]:
    """The `k` largest numbers of each row and their places, by way of lanes where that is quicker.

    `lax.top_k` takes time for each number it is given, a maximum next to none.
    """
    if numbers.shape[1] % _LANES or numbers.shape[1] <= 2 * _LANES or k >= _LANES:
        return tuple(lax.top_k(numbers, k))
    dealt = numbers.reshape(numbers.shape[0], -1, _LANES)
    _, lanes = lax.top_k(dealt.max(axis=1), k)
    candidates = jnp.take_along_axis(dealt, lanes[:, None, :], axis=2)
    found, at = lax.top_k(candidates.reshape(numbers.shape[0], -1), k)
    return found, at // k * _LANES + jnp.take_along_axis(lanes, at % k, axis=1)


def _finish(summary: Summary, head: Head, carry: Running) -> Rows:
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
    lanes = None if carry.lanes is None else lax.top_k(carry.lanes, summary.top_k)[1]
    return Rows(
        context=carry.context * scale[:, None],
        softmax=softmax,
        log_normalizer=shift + log_total,
        entropy=entropy,
        max_logit=carry.largest if summary.max_logit else None,
        lanes=lanes,
        distance=None if carry.distance is None else scale * carry.distance,
    )


class Columns(NamedTuple):
    """What only finished weights tell; see `AttentionSummary`."""

    received: Array | None
    pooled: Array | None
    top_weights: Array | None
    top_indices: Array | None


def columns(grid: Grid, summary: Summary, head: Head, softmax: Softmax, lanes: Array) -> Columns:
    """A second pass over one head, that knows how scores become weights."""
    rest = (0, grid.padding[0])
    whole = Softmax(*(jnp.pad(x, rest, constant_values=jnp.inf) for x in softmax))
    lanes = jnp.pad(lanes, (rest, (0, 0)))
    tiles = summary.pooled or (1, 1)
    rows, cells = (_most_tiles(*x) for x in zip(tiles, _sizes(grid), grid.block, strict=True))
    num_lanes = grid.lanes(summary.top_k)

    def of_queries(carry: tuple[Array | None, Array | None], i: Array):
        here, mine = Softmax(*(grid.rows(x, i) for x in whole)), grid.rows(lanes, i)
        first, in_rows = _members(grid.queries(i), tiles[0], grid.num_queries, rows)

        def step(j: ArrayLike, carry, is_edge: bool):
            received, pooled, candidates = carry
            weights = here.weights(grid.scores(head, i, j, is_edge))
            if summary.by_key:
                by_tile = product("qr,qk->rk", in_rows, weights)
            if received is not None:
                received = add_part(received, by_tile.sum(axis=0), (j * grid.block[1],))
            if pooled is not None:
                column, in_columns = _members(grid.keys(j), tiles[1], grid.num_keys, cells)
                tile = product("rk,kc->rc", by_tile, in_columns)
                pooled = add_part(pooled, tile, (first, column))
            if candidates is not None:
                dealt = weights.reshape(grid.block[0], -1, num_lanes)
                found = jnp.take_along_axis(dealt, mine[:, None, :], axis=2)
                start = (0, j * dealt.shape[1], 0)
                candidates = lax.dynamic_update_slice(candidates, found, start)
            return received, pooled, candidates

        num_keys = grid.num_keys + grid.padding[1]
        candidates = (
            jnp.zeros((grid.block[0], num_keys // num_lanes, summary.top_k))
            if summary.top_k
            else None
        )
        *carry, candidates = grid.sweep(i, head.offset, step, (*carry, candidates))
        top = None
        if candidates is not None:
            top, at = _largest(candidates.reshape(grid.block[0], -1), summary.top_k)
            keys = at // summary.top_k * num_lanes
            keys += jnp.take_along_axis(mine, at % summary.top_k, axis=1)
            top = (top, jnp.where(top > 0, keys, -1))
        return tuple(carry), top

    received = jnp.zeros(grid.num_keys + grid.padding[1]) if summary.received else None
    # A last block's tiles may stand over the edge, with nothing in them.
    pooled = jnp.zeros((tiles[0] + rows, tiles[1] + cells)) if summary.pooled else None
    (received, pooled), top = lax.scan(of_queries, (received, pooled), jnp.arange(grid.blocks[0]))
    if pooled is not None:
        pooled = pooled[: tiles[0], : tiles[1]] / tile_areas(tiles, *_sizes(grid))
    top = (None, None) if top is None else [lax.collapse(x, 0, 2)[: grid.num_queries] for x in top]
    return Columns(None if received is None else received[: grid.num_keys], pooled, *top)


def _sizes(grid: Grid) -> tuple[int, int]:
    return grid.num_queries, grid.num_keys


def _most_tiles(tiles: int, tokens: int, block: int) -> int:
    """How many tiles a block can touch."""
    return min(tiles, -(-block * tiles // tokens) + 1)


def _members(tokens: Array, tiles: int, num_tokens: int, most: int) -> tuple[Array, Array]:
    """The first tile of a block, and which of its tokens is in which of the tiles from there."""
    at = tile_of(jnp.minimum(tokens, num_tokens - 1), tiles, num_tokens)
    return at[0], (at[:, None] - at[0] == jnp.arange(most)[None, :]).astype(jnp.float32)


def add_part(array: Array, part: Array, start: tuple[ArrayLike, ...]) -> Array:
    """Add a part to an array, in place."""
    old = lax.dynamic_slice(array, start, part.shape)
    return lax.dynamic_update_slice(array, old + part, start)


def seen_keys(grid: Grid, head: Head) -> Array:
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

    seen = jnp.zeros(grid.num_keys + grid.padding[1], bool)
    return lax.fori_loop(0, grid.blocks[0], of_queries, seen)[: grid.num_keys]

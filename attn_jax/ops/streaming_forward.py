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
        top: The largest scores so far, and their keys.
    """

    largest: Array
    total: Array
    context: Array
    surprise: Array | None
    distance: Array | None
    top: tuple[Array, Array] | None


class Rows(NamedTuple):
    """The finished quantities of some queries; see `AttentionSummary`."""

    context: Array
    softmax: Softmax
    log_normalizer: Array
    entropy: Array | None
    max_logit: Array | None
    top_weights: Array | None
    top_indices: Array | None
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
        top=_top(jnp.zeros((grid.block[0], 0)), k) if k else None,
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
    largest = jnp.maximum(carry.largest, scores.max(axis=1))
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
    if carry.top is not None:
        here, keys = _largest(scores, summary.top_k)
        carry = carry._replace(top=_merge(carry.top, (here, keys + j * grid.block[1])))
    return carry


def _largest(scores: Array, k: int) -> tuple[Array, Array]:
    """The `k` largest scores of each row, by way of the columns whose maxima are the largest.

    `lax.top_k` takes time for each number it is given, a maximum next to none: keys are dealt
    out into lanes, and only lanes whose maximum is among the `k` largest are looked into.
    """
    num_rows, num_keys = scores.shape
    if num_keys % _LANES or num_keys <= 2 * _LANES or k >= _LANES:
        return _top(scores, k)
    dealt = scores.reshape(num_rows, -1, _LANES)
    _, lanes = lax.top_k(dealt.max(axis=1), k)
    candidates = jnp.take_along_axis(dealt, lanes[:, None, :], axis=2).reshape(num_rows, -1)
    found, at = lax.top_k(candidates, k)
    return found, at // k * _LANES + jnp.take_along_axis(lanes, at % k, axis=1)


def _top(scores: Array, k: int) -> tuple[Array, Array]:
    """`lax.top_k`, filled up with minus infinities where there are fewer."""
    found, at = lax.top_k(scores, min(k, scores.shape[1]))
    rest = ((0, 0), (0, k - found.shape[1]))
    return jnp.pad(found, rest, constant_values=-jnp.inf), jnp.pad(at, rest)


def _merge(one: tuple[Array, Array], other: tuple[Array, Array]) -> tuple[Array, Array]:
    """The largest of two lists of scores, as long as either, and their keys."""
    scores, keys = (jnp.concatenate(pair, axis=1) for pair in zip(one, other, strict=True))
    found, at = lax.top_k(scores, one[0].shape[1])
    return found, jnp.take_along_axis(keys, at, axis=1)


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
    top_weights = top_indices = None
    if carry.top is not None:
        scores, keys = carry.top
        top_weights = softmax.weights(scores)
        top_indices = jnp.where(scores > -jnp.inf, keys, -1)
    return Rows(
        context=carry.context * scale[:, None],
        softmax=softmax,
        log_normalizer=shift + log_total,
        entropy=entropy,
        max_logit=carry.largest if summary.max_logit else None,
        top_weights=top_weights,
        top_indices=top_indices,
        distance=None if carry.distance is None else scale * carry.distance,
    )


class Columns(NamedTuple):
    """What the keys get; see `AttentionSummary`."""

    received: Array | None
    pooled: Array | None


def columns(grid: Grid, summary: Summary, head: Head, softmax: Softmax) -> Columns:
    """What the keys of one head get, in a second pass that knows how scores become weights."""
    whole = Softmax(*(jnp.pad(x, (0, grid.padding[0]), constant_values=jnp.inf) for x in softmax))
    tiles = summary.pooled or (1, 1)
    rows, cells = (_most_tiles(*x) for x in zip(tiles, _sizes(grid), grid.block, strict=True))

    def of_queries(i: Array, carry: Columns) -> Columns:
        here = Softmax(*(grid.rows(x, i) for x in whole))
        first, in_rows = _members(grid.queries(i), tiles[0], grid.num_queries, rows)

        def step(j: ArrayLike, carry: Columns, is_edge: bool) -> Columns:
            weights = here.weights(grid.scores(head, i, j, is_edge))
            by_tile = product("qr,qk->rk", in_rows, weights)
            received, pooled = carry
            if received is not None:
                received = add_part(received, by_tile.sum(axis=0), (j * grid.block[1],))
            if pooled is not None:
                column, in_columns = _members(grid.keys(j), tiles[1], grid.num_keys, cells)
                tile = product("rk,kc->rc", by_tile, in_columns)
                pooled = add_part(pooled, tile, (first, column))
            return Columns(received, pooled)

        return grid.sweep(i, head.offset, step, carry)

    received = jnp.zeros(grid.num_keys + grid.padding[1]) if summary.received else None
    # A last block's tiles may stand over the edge, with nothing in them.
    pooled = jnp.zeros((tiles[0] + rows, tiles[1] + cells)) if summary.pooled else None
    received, pooled = lax.fori_loop(0, grid.blocks[0], of_queries, Columns(received, pooled))
    if pooled is not None:
        pooled = pooled[: tiles[0], : tiles[1]] / tile_areas(tiles, *_sizes(grid))
    return Columns(None if received is None else received[: grid.num_keys], pooled)


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

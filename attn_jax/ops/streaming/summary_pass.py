"""A second pass over one head, which computes finished weights block by block: what they tell."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from attn_jax.ops.streaming.blocks import Grid, Head, add_part, product
from attn_jax.ops.streaming.forward import Softmax
from attn_jax.ops.streaming.summary import Summary, tile_areas, tile_of

_LANES = 128


class WeightStatistics(NamedTuple):
    """What finished weights tell; see `AttentionSummary`."""

    received: Array | None
    pooled: Array | None
    top_weights: Array | None = None
    top_indices: Array | None = None


class Running(NamedTuple):
    """What is carried along the blocks.

    Attributes:
        received: Of every key, so far.
        pooled: The sums over the tiles so far, with room behind for those of the last block.
        candidates: `(block, members, k)`, of a block of queries: the weights of all members of
            its `k` lanes, so far.
    """

    received: Array | None
    pooled: Array | None
    candidates: Array | None


def weight_statistics(
    grid: Grid, summary: Summary, head: Head, softmax: Softmax, lanes: Array
) -> WeightStatistics:
    """Go over the map of one head once more, knowing how scores become weights.

    Args:
        grid: How the map is cut into blocks.
        summary: What is wanted.
        head: What the head attends with.
        softmax: Of each query.
        lanes: `(q, k)`, the lanes that hold each query's `top_k` largest scores; all of them, if
            they are fewer.

    Returns:
        What is wanted, None else.
    """
    rest = (0, grid.padding[0])
    whole = Softmax(*(jnp.pad(x, rest, constant_values=jnp.inf) for x in softmax))
    lanes = jnp.pad(lanes, (rest, (0, 0)))

    def of_queries(carry: Running, i: Array) -> tuple[Running, Any]:
        here, chosen = Softmax(*(grid.rows(x, i) for x in whole)), grid.rows(lanes, i)

        def step(j: ArrayLike, carry: Running, is_edge: bool) -> Running:
            weights = here.weights(grid.scores(head, i, j, is_edge))
            return _step(grid, summary, weights, chosen, i, j, carry)

        candidates = _no_candidates(grid, head, summary.top_k, chosen.shape[1])
        carry = grid.sweep(i, head.offset, step, carry._replace(candidates=candidates))
        return carry._replace(candidates=None), _top(grid, summary.top_k, carry, chosen)

    num_keys = grid.num_keys + grid.padding[1]
    received = grid.zeros(head, num_keys) if summary.received else None
    carry = Running(received, _no_tiles(grid, head, summary.pooled), None)
    (received, pooled, _), top = lax.scan(of_queries, carry, jnp.arange(grid.blocks[0]))
    if summary.pooled and pooled is not None:
        areas = tile_areas(summary.pooled, grid.num_queries, grid.num_keys)
        pooled = pooled[: summary.pooled[0], : summary.pooled[1]] / areas
    received = None if received is None else received[: grid.num_keys]
    return WeightStatistics(
        received, pooled, *(lax.collapse(x, 0, 2)[: grid.num_queries] for x in top or ())
    )


def _step(
    grid: Grid,
    summary: Summary,
    weights: Array,
    chosen: Array,
    i: ArrayLike,
    j: ArrayLike,
    carry: Running,
) -> Running:
    received, pooled, candidates = carry
    if summary.pooled and pooled is not None:
        first, in_rows = _members(grid.queries(i), summary.pooled[0], grid.num_queries)
        column, in_columns = _members(grid.keys(j), summary.pooled[1], grid.num_keys)
        by_tile = product("qr,qk->rk", in_rows, weights)
        tile = product("rk,kc->rc", by_tile, in_columns)
        pooled = add_part(pooled, tile, (first, column))
    else:
        by_tile = weights
    if received is not None:
        received = add_part(received, by_tile.sum(axis=0), (j * grid.block[1],))
    if candidates is not None:
        dealt = weights.reshape(grid.block[0], -1, grid.lanes(summary.top_k))
        found = jnp.take_along_axis(dealt, chosen[:, None, :], axis=2)
        start = (0, j * dealt.shape[1], 0)
        candidates = lax.dynamic_update_slice(candidates, found, start)
    return Running(received, pooled, candidates)


def _no_tiles(grid: Grid, head: Head, tiles: tuple[int, int] | None) -> Array | None:
    if tiles is None:
        return None
    sizes = zip(tiles, (grid.num_queries, grid.num_keys), grid.block, strict=True)
    return grid.zeros(head, *(g + most_tiles(g, t, b) for g, t, b in sizes))


def most_tiles(tiles: int, tokens: int, block: int) -> int:
    """How many tiles a block can touch."""
    return min(tiles, -(-block * tiles // tokens) + 1)


def _members(tokens: Array, tiles: int, num_tokens: int) -> tuple[Array, Array]:
    """The first tile of a block, and which of its tokens is in which of the tiles from there."""
    most = most_tiles(tiles, num_tokens, tokens.size)
    at = tile_of(jnp.minimum(tokens, num_tokens - 1), tiles, num_tokens)
    return at[0], (at[:, None] - at[0] == jnp.arange(most)[None, :]).astype(jnp.float32)


def _no_candidates(grid: Grid, head: Head, k: int, num_chosen: int) -> Array | None:
    if not k:
        return None
    members = (grid.num_keys + grid.padding[1]) // grid.lanes(k)
    return grid.zeros(head, grid.block[0], members, num_chosen)


def _top(grid: Grid, k: int, carry: Running, chosen: Array) -> tuple[Array, Array] | None:
    """The largest of the candidates, and their keys."""
    if carry.candidates is None:
        return None
    found, at = _largest(lax.collapse(carry.candidates, 1), k)
    member, lane = jnp.divmod(at, chosen.shape[1])
    keys = member * grid.lanes(k) + jnp.take_along_axis(chosen, lane, axis=1)
    return found, jnp.where(found > 0, keys, -1)


def _largest(numbers: Array, k: int) -> tuple[Array, Array]:
    """The `k` largest numbers of each row and their places, by way of lanes where that is quicker.

    `lax.top_k` takes time for each number it is given, a maximum next to none.
    """
    if numbers.shape[1] % _LANES or numbers.shape[1] <= 2 * _LANES or k >= _LANES:
        found, at = lax.top_k(numbers, k)
        return found, at
    dealt = numbers.reshape(numbers.shape[0], -1, _LANES)
    _, lanes = lax.top_k(dealt.max(axis=1), k)
    candidates = jnp.take_along_axis(dealt, lanes[:, None, :], axis=2)
    found, at = lax.top_k(lax.collapse(candidates, 1), k)
    return found, at // k * _LANES + jnp.take_along_axis(lanes, at % k, axis=1)

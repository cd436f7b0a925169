"""The summary pass: statistics that need the finished weights of one head, block by block."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from attn_jax.ops.streaming.blocks import Grid, Head, add_part, in_32_bits, product
from attn_jax.ops.streaming.forward import Softmax
from attn_jax.ops.streaming.summary import Summary, tile_areas, tile_of

_LANES = 128


class WeightStatistics(NamedTuple):
    """Statistics of finished weights; see `AttentionSummary`."""

    received: Array | None
    pooled: Array | None
    top_weights: Array | None = None
    top_indices: Array | None = None


class Part(NamedTuple):
    """Where the map of a head is, if it is a part of a larger one, whose tiles are summed.

    Attributes:
        starts: The places of its first query and first key in the whole sequences.
        sizes: The lengths of these.
    """

    starts: tuple[Array, Array]
    sizes: tuple[int, int]

    def first_tiles(self, tiles: tuple[int, int]) -> tuple[Array, Array]:
        """Return the tiles that the first query and the first key are in."""
        places = zip(self.starts, tiles, self.sizes, strict=True)
        query, key = (tile_of(start, g, t) for start, g, t in places)
        return query, key


class Running(NamedTuple):
    """The sums that are carried along the blocks.

    Attributes:
        received: The weight that every key got so far.
        pooled: The sums over the tiles so far, with room behind for those of the last block.
        candidates: `(block, members, k)`, of a block of queries: the weights of all members of
            its `k` lanes, so far.
    """

    received: Array | None
    pooled: Array | None
    candidates: Array | None


def weight_statistics(
    grid: Grid,
    summary: Summary,
    head: Head,
    softmax: Softmax,
    lanes: Array,
    part: Part | None = None,
) -> WeightStatistics:
    """Go over the map of one head once more, with the normalizers that the first pass found.

    Args:
        grid: How the map is cut into blocks.
        summary: The statistics to compute.
        head: The operands.
        softmax: The normalizer of each query.
        lanes: `(q, k)`, the lanes that hold each query's `top_k` largest scores; all of them, if
            they are fewer.
        part: Where the map is in a larger one. Then `pooled` has the sums, not the means, of the
            tiles of that one from the first which it touches on.

    Returns:
        The statistics of the summary; None for the others.
    """
    rest = (0, grid.padding[0])
    whole = Softmax(*(jnp.pad(x, rest, constant_values=jnp.inf) for x in softmax))
    lanes = jnp.pad(lanes, (rest, (0, 0)))

    def of_queries(carry: Running, i: Array) -> tuple[Running, Any]:
        here, chosen = Softmax(*(grid.rows(x, i) for x in whole)), grid.rows(lanes, i)

        def step(j: ArrayLike, carry: Running, is_edge: bool) -> Running:
            weights = here.weights(grid.scores(head, i, j, is_edge))
            return _step(grid, summary, weights, chosen, i, j, carry, part)

        candidates = _no_candidates(grid, head, summary.top_k, chosen.shape[1])
        carry = grid.sweep(i, head.offset, step, carry._replace(candidates=candidates))
        return carry._replace(candidates=None), _top(grid, summary.top_k, carry, chosen)

    num_keys = grid.num_keys + grid.padding[1]
    received = grid.zeros(head, num_keys) if summary.received else None
    carry = Running(received, _no_tiles(grid, head, summary.pooled, part), None)
    (received, pooled, _), top = lax.scan(of_queries, carry, jnp.arange(grid.blocks[0]))
    if summary.pooled and pooled is not None and part is None:
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
    part: Part | None,
) -> Running:
    # A tile's sum is made of two products with the indicators of its rows and columns. The sums of
    # the keys are then taken of the rows' sums, which are fewer.
    received, pooled, candidates = carry
    if summary.pooled and pooled is not None:
        tiles = summary.pooled
        first, in_rows = _members(grid.queries(i), tiles[0], grid.num_queries, part, 0)
        column, in_columns = _members(grid.keys(j), tiles[1], grid.num_keys, part, 1)
        by_tile = product("qr,qk->rk", in_rows, weights)
        tile = product("rk,kc->rc", by_tile, in_columns)
        pooled = add_part(pooled, tile, (first, column))
    else:
        by_tile = weights
    if received is not None:
        received = add_part(received, by_tile.sum(axis=0), (j * grid.block[1],))
    # Only the lanes that the first pass chose can hold the largest weights; keep their members.
    if candidates is not None:
        by_lane = weights.reshape(grid.block[0], -1, grid.lanes(summary.top_k))
        members = jnp.take_along_axis(by_lane, chosen[:, None, :], axis=2)
        start = in_32_bits((0, j * by_lane.shape[1], 0))
        candidates = lax.dynamic_update_slice(candidates, members, start)
    return Running(received, pooled, candidates)


def _no_tiles(
    grid: Grid, head: Head, tiles: tuple[int, int] | None, part: Part | None
) -> Array | None:
    if tiles is None:
        return None
    lengths = grid.num_queries, grid.num_keys
    totals = part.sizes if part else lengths
    touched = [max_tiles(*each) for each in zip(tiles, totals, lengths, strict=True)]
    sizes = zip(touched if part else tiles, tiles, totals, grid.block, strict=True)
    return grid.zeros(head, *(n + max_tiles(g, t, b) for n, g, t, b in sizes))


def max_tiles(tiles: int, tokens: int, block: int) -> int:
    """Return the number of tiles that a block can touch at most."""
    return min(tiles, -(-block * tiles // tokens) + 1)


def _members(
    tokens: Array, tiles: int, num_tokens: int, part: Part | None, axis: int
) -> tuple[Array, Array]:
    """Return the first tile of a block, and which token is in which tile from there on."""
    if part is not None:
        # Where a block ends after its part, nothing has weight.
        tokens, num_tokens = tokens + part.starts[axis], part.sizes[axis]
    span = jnp.arange(max_tiles(tiles, num_tokens, tokens.size))
    tile = tile_of(jnp.minimum(tokens, num_tokens - 1), tiles, num_tokens)
    first = tile[0]
    if part is not None:
        first -= tile_of(part.starts[axis], tiles, num_tokens)
    return first, (tile[:, None] - tile[0] == span[None, :]).astype(jnp.float32)


def _no_candidates(grid: Grid, head: Head, k: int, num_chosen: int) -> Array | None:
    if not k:
        return None
    members = (grid.num_keys + grid.padding[1]) // grid.lanes(k)
    return grid.zeros(head, grid.block[0], members, num_chosen)


def _top(grid: Grid, k: int, carry: Running, chosen: Array) -> tuple[Array, Array] | None:
    """Return the largest of the candidates, and their keys."""
    if carry.candidates is None:
        return None
    weights, places = _top_k(lax.collapse(carry.candidates, 1), k)
    member, lane = jnp.divmod(places, chosen.shape[1])
    keys = member * grid.lanes(k) + jnp.take_along_axis(chosen, lane, axis=1)
    return weights, jnp.where(weights > 0, keys, -1)


def _top_k(numbers: Array, k: int) -> tuple[Array, Array]:
    """Return the `k` largest numbers of each row and their places.

    `lax.top_k` takes time for each number that it is given, a maximum next to none: long rows are
    cut into lanes, and only the lanes with the largest maxima are searched.
    """
    if numbers.shape[1] % _LANES or numbers.shape[1] <= 2 * _LANES or k >= _LANES:
        largest, places = lax.top_k(numbers, k)
        return largest, places
    by_lane = numbers.reshape(numbers.shape[0], -1, _LANES)
    _, lanes = lax.top_k(by_lane.max(axis=1), k)
    candidates = jnp.take_along_axis(by_lane, lanes[:, None, :], axis=2)
    largest, places = lax.top_k(lax.collapse(candidates, 1), k)
    return largest, places // k * _LANES + jnp.take_along_axis(lanes, places % k, axis=1)

"""Streaming attention as Pallas kernels: by way of Triton on NVIDIA GPUs, of Mosaic on TPUs.

The arithmetic is that of `streaming.forward`, whose functions run here on blocks read from device
memory; only the way the work is divided differs. No device has run them: they are
compared with float64 in interpret mode, and lowered for both, which tests repeat; and once, for
NVIDIA's generations 8.0 and 9.0 and for a TPU v5e, they were compiled. See docs/long_sequences.md.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl
from jax.typing import ArrayLike

from attn_jax.ops.streaming.blocks import Grid, Head, product
from attn_jax.ops.streaming.forward import Rows, Softmax, advance, begin, finish
from attn_jax.ops.streaming.pallas.blocks import RefBlocks, TiledRefBlocks
from attn_jax.ops.streaming.pallas.launch import RESULT, kernel_operands, launch, result, store
from attn_jax.ops.streaming.plan import Arrays, Plan
from attn_jax.ops.streaming.summary import tile_areas, tile_of
from attn_jax.ops.streaming.summary_pass import WeightStatistics, max_tiles

# A TPU writes a block whose rows come in eights.
_ROWS = 8
_OF_QUERIES = ("query", "query_segments", RESULT)
_OF_KEYS = ("key", "value", "key_segments", "bias", RESULT)


class Keys(NamedTuple):
    """Statistics of the keys; see `AttentionSummary`."""

    received: Any
    pooled: Any


def attend_rows(plan: Plan, arrays: Arrays) -> Rows:
    """Attend with every head, as `forward` does."""
    summary = dataclasses.replace(plan.summary, top_k=0)
    grid = _rows_grid(plan, arrays)
    operands = kernel_operands(plan, grid, arrays)

    def kernel(i: Array, refs: dict[str, Any], results: Rows) -> None:
        head = Head(**refs)

        def step(j: ArrayLike, carry: Any, is_edge: bool) -> Any:
            return advance(grid, summary, head, i, j, carry, is_edge)

        carry = grid.sweep(i, head.offset, step, begin(grid, summary, head))
        jax.tree.map(store, results, finish(summary, head, carry))

    tokens, features = operands["query"].shape[2], operands["value"].shape[3]
    each = result(plan, 1, tokens)
    shapes = Rows(
        context=result(plan, tokens, features),
        softmax=Softmax(each, each),
        log_normalizer=each,
        entropy=each if summary.entropy else None,
        max_logit=each if summary.max_logit else None,
        lanes=None,
        distance=each if summary.distance else None,
    )
    context, *rest = jax.tree.leaves(
        launch(plan, kernel, grid.blocks[0], operands, _OF_QUERIES, shapes)
    )
    context = context[:, :, : grid.num_queries, : arrays["value"].shape[-1]]
    rest = [x[:, :, 0, : grid.num_queries] for x in rest]
    return jax.tree.unflatten(jax.tree.structure(shapes), [context, *rest])


def weight_statistics(plan: Plan, arrays: Arrays, softmax: Softmax) -> WeightStatistics:
    """Compute the statistics of finished weights, as the summary pass does."""
    summary = plan.summary
    by_key = Keys(None, None)
    if summary.received or summary.pooled:
        by_key = _key_statistics(plan, arrays, softmax)
    top = _top_weights(plan, arrays, softmax) if summary.top_k else ()
    return WeightStatistics(*by_key, *top)


def _key_statistics(plan: Plan, arrays: Arrays, softmax: Softmax) -> Keys:
    """Compute the statistics of the keys.

    Each program has a block of keys and visits the queries tile by tile, so that it adds up along
    columns only, and writes each sum once.
    """
    tiles = plan.summary.pooled or (1, 1)
    grid = _tiled(plan, arrays, tiles[0])
    order, is_inside = _by_tile(grid)
    arrays = arrays | {"query": arrays["query"][:, :, order]}
    if "query_segments" in arrays:
        arrays["query_segments"] = arrays["query_segments"][:, :, order]
    operands = kernel_operands(plan, grid, arrays)
    for name, array in softmax._asdict().items():
        operands[name] = jnp.where(is_inside, array[:, :, order], jnp.inf)[:, :, None]
    rows = -(-tiles[0] // _ROWS) * _ROWS
    cells = pl.next_power_of_2(max_tiles(tiles[1], grid.num_keys, grid.block[1]))
    shapes = Keys(
        received=result(plan, 1, operands["key"].shape[2]) if plan.summary.received else None,
        pooled=result(plan, grid.blocks[1] * rows, cells) if plan.summary.pooled else None,
    )

    def kernel(j: Array, refs: dict[str, Any], results: Keys) -> None:
        of_queries = Softmax(refs.pop("shift"), refs.pop("log_sum"))
        received = _visit_tiles(grid, Head(**refs), of_queries, j, tiles[1], results.pooled)
        if results.received is not None:
            store(results.received, received)

    received, parts = launch(plan, kernel, grid.blocks[1], operands, _OF_KEYS, shapes)
    return Keys(
        received=None if received is None else received[:, :, 0, : grid.num_keys],
        pooled=None if parts is None else _pooled(grid, tiles, parts),
    )


def _visit_tiles(
    grid: TiledRefBlocks, head: Head, softmax: Softmax, j: Array, cells: int, parts: Any
) -> Array:
    """Sum the weights of each key in a block; write those of each tile into `parts`, if any."""
    size, per_tile = grid.block[0], grid.blocks_per_tile
    left, right = grid.window
    first_key = j * grid.block[1] - head.offset
    begin = 0 if right is None else first_key - right
    end = grid.num_queries if left is None else first_key + grid.block[1] + left
    is_edge = grid.window != (None, None) or grid.padding[1] > 0

    def of_block(i: Array, sums: Array) -> Array:
        here = Softmax(*(grid.rows(x, i) for x in softmax))
        return sums + here.weights(grid.scores(head, i, j, is_edge)).sum(axis=0)

    def of_tile(tile: Array, received: Array) -> Array:
        first, last = (jnp.clip(x - grid.first(tile), 0, per_tile * size) for x in (begin, end))
        start, stop = lax.div(first, size), lax.div(last + size - 1, size)
        base = tile * per_tile
        sums = lax.fori_loop(base + start, base + stop, of_block, jnp.zeros(grid.block[1]))
        if parts is not None:
            cell_of_key = tile_of(
                jnp.minimum(grid.keys(j), grid.num_keys - 1), cells, grid.num_keys
            )
            cell = jnp.arange(parts.shape[1]) + _first_cell(grid, j, cells)
            is_in = cell_of_key[:, None] == cell[None, :]
            parts[tile, :] = jnp.where(is_in, sums[:, None], 0).sum(axis=0)
        return received + sums

    return lax.fori_loop(0, grid.tiles, of_tile, jnp.zeros(grid.block[1]))


def _pooled(grid: TiledRefBlocks, tiles: tuple[int, int], parts: Array) -> Array:
    """Return the mean weight of each tile, given the sums of each block of keys."""
    parts = parts.reshape(*parts.shape[:2], grid.blocks[1], -1, parts.shape[-1])
    parts = parts[:, :, :, : tiles[0]]
    first = _first_cell(grid, jnp.arange(grid.blocks[1]), tiles[1])
    cell = first[:, None] + jnp.arange(parts.shape[-1])[None, :]
    total = product("bhjtc,jcg->bhtg", parts, jax.nn.one_hot(cell, tiles[1]))
    return total / tile_areas(tiles, grid.num_queries, grid.num_keys)[None, None]


def _first_cell(grid: Grid, j: Array, cells: int) -> Array:
    """Return the tile of the first key in a block."""
    return tile_of(jnp.minimum(j * grid.block[1], grid.num_keys - 1), cells, grid.num_keys)


def _tiled(plan: Plan, arrays: Arrays, tiles: int) -> TiledRefBlocks:
    """Return blocks of queries about as long as a tile."""
    least, *most = _block_sizes(plan, arrays)
    rows = pl.next_power_of_2(-(-plan.grid.num_queries // tiles))
    block = min(max(rows, least), most[0]), most[1]
    return TiledRefBlocks(**_grid(plan), block=block, tiles=tiles)


def _rows_grid(plan: Plan, arrays: Arrays) -> RefBlocks:
    _, *most = _block_sizes(plan, arrays)
    return RefBlocks(**_grid(plan), block=(most[0], most[1]))


def _block_sizes(plan: Plan, arrays: Arrays) -> tuple[int, int, int]:
    """Return the least tokens in a block, and the most queries and keys: powers of two.

    Unless the caller set limits, it is what the registers of an Ampere GPU hold.
    """
    is_single = arrays["key"].dtype == jnp.float32
    least, most = (128, 256) if plan.kernel == "mosaic" else (16, 32 if is_single else 64)
    queries, keys = (2 ** (n.bit_length() - 1) for n in plan.limits or (most, most))
    return least, max(queries, least), max(keys, least)


def _grid(plan: Plan) -> dict[str, Any]:
    """Return the fields of a grid besides its blocks."""
    rest = {name: value for name, value in vars(plan.grid).items() if name != "block"}
    return rest | {"tf32x3": plan.kernel == "triton" and not plan.interpret}


def _by_tile(grid: TiledRefBlocks) -> tuple[Array, Array]:
    """Return the queries tile by tile, filled up to whole blocks, and which are no filling."""
    tile = jnp.arange(grid.tiles)[:, None]
    inside = jnp.arange(grid.blocks_per_tile * grid.block[0])[None, :]
    query = grid.first(tile) + inside
    is_inside = query < grid.first(tile + 1)
    return jnp.where(is_inside, query, 0).ravel(), is_inside.ravel()


def _top_weights(plan: Plan, arrays: Arrays, softmax: Softmax) -> tuple[Array, Array]:
    """Return the largest weights of each query, and their keys."""
    grid = _rows_grid(plan, arrays)
    operands = kernel_operands(plan, grid, arrays)
    room = pl.next_power_of_2(plan.summary.top_k)

    def kernel(i: Array, refs: dict[str, Any], results: tuple[Any, Any]) -> None:
        head = Head(**refs)

        def step(j: ArrayLike, top: tuple[Array, Array], is_edge: bool) -> tuple[Array, Array]:
            return _insert(grid.scores(head, i, j, is_edge), j * grid.block[1], *top)

        shape = (grid.block[0], room)
        top = jnp.full(shape, -jnp.inf), jnp.zeros(shape, jnp.int32)
        jax.tree.map(store, results, grid.sweep(i, head.offset, step, top))

    shape = operands["query"].shape[2], room
    shapes = result(plan, *shape), result(plan, *shape, dtype=jnp.int32)
    unordered = launch(plan, kernel, grid.blocks[0], operands, _OF_QUERIES, shapes)
    scores, keys = (x[:, :, : grid.num_queries] for x in unordered)
    scores, places = lax.top_k(scores, plan.summary.top_k)
    weights = jnp.exp(scores - softmax.shift[..., None] - softmax.log_sum[..., None])
    return weights, jnp.where(weights > 0, jnp.take_along_axis(keys, places, axis=-1), -1)


def _insert(scores: Array, first_key: ArrayLike, top: Array, keys: Array) -> tuple[Array, Array]:
    """Replace the lowest of the top scores while there are better ones, which is seldom long."""

    def is_better(carry: tuple[Array, Array, Array]) -> Array:
        scores, top, _ = carry
        return (scores.max(axis=1) > top.min(axis=1)).astype(jnp.float32).max() > 0

    def replace(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        scores, top, keys = carry
        best, place = scores.max(axis=1)[:, None], scores.argmax(axis=1)[:, None]
        is_least = jnp.arange(top.shape[1])[None, :] == top.argmin(axis=1)[:, None]
        is_new = is_least & (best > top)
        is_taken = jnp.arange(scores.shape[1])[None, :] == place
        return (
            jnp.where(is_taken, -jnp.inf, scores),
            jnp.where(is_new, best, top),
            jnp.where(is_new, place + first_key, keys),
        )

    return lax.while_loop(is_better, replace, (scores, top, keys))[1:]

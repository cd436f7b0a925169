"""The derivative of one head's attention in forward mode, in one pass over the keys."""

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from attn_jax.ops.streaming.blocks import Grid, Head, product
from attn_jax.ops.streaming.forward import Softmax


def push_forward(grid: Grid, head: Head, softmax: Softmax, context: Array) -> Array:
    """Push the tangents of one head's operands forward to its context.

    With scores S, weights P and context C, and d for tangents, it is
    dC = (P dS) V + P dV - m C, where m = Σ P dS of each query is what the softmax subtracts.
    """
    tangents = head.tangents or {}
    rest = (0, grid.padding[0])
    whole = Softmax(*(jnp.pad(x, rest, constant_values=jnp.inf) for x in softmax))

    def of_queries(i: Array) -> tuple[Array, Array]:
        here = Softmax(*(grid.rows(x, i) for x in whole))

        def step(j: ArrayLike, carry: tuple[Array, Array], is_edge: bool) -> tuple[Array, Array]:
            # As in the backward pass, the weights of a block are computed anew.
            weights = here.weights(grid.scores(head, i, j, is_edge))
            moved, mean = carry
            of_scores = weights * _scores(grid, head, tangents, i, j)
            value = grid.columns(head.value, j)
            moved += product("qk,ke->qe", of_scores.astype(value.dtype), value)
            if "value" in tangents:
                of_value = grid.columns(tangents["value"], j)
                moved += product("qk,ke->qe", weights.astype(value.dtype), of_value)
            return moved, mean + of_scores.sum(axis=1)

        zeros = grid.zeros(head, grid.block[0], head.value.shape[-1])
        return grid.sweep(i, head.offset, step, (zeros, grid.zeros(head, grid.block[0])))

    blocks = lax.map(of_queries, jnp.arange(grid.blocks[0]))
    moved, mean = (lax.collapse(x, 0, 2)[: grid.num_queries] for x in blocks)
    if head.sink is not None and "sink" in tangents:
        # A sink is a key without a value: it takes weight away, and adds nothing.
        mean += jnp.exp(head.sink - softmax.shift - softmax.log_sum) * tangents["sink"]
    return moved - mean[:, None] * context


def _scores(
    grid: Grid, head: Head, tangents: dict[str, Array], i: ArrayLike, j: ArrayLike
) -> Array:
    """Return the tangent of a block's scores."""
    change = grid.zeros(head, *grid.block)
    if "query" in tangents:
        pair = grid.rows(tangents["query"], i), grid.columns(head.key, j)
        change += grid.product("qd,kd->qk", *pair)
    if "key" in tangents:
        pair = grid.rows(head.query, i), grid.columns(tangents["key"], j)
        change += grid.product("qd,kd->qk", *pair)
    change *= grid.scale
    if grid.softcap is not None:
        change *= 1 - jnp.square(grid.capped(head, i, j) / grid.softcap)
    if "bias" in tangents:
        change += grid.cut(tangents["bias"], i, j)
    return change

"""The gradients of one head's attention, with the weights of each block computed anew."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from attn_jax.ops.streaming.blocks import Grid, Head, add_part, product
from attn_jax.ops.streaming.forward import Softmax


class Gradients(NamedTuple):
    """With respect to the parts of a `Head`; the query is the scaled one."""

    query: Array
    key: Array
    value: Array
    bias: Array | None
    sink: Array | None


class Queries(NamedTuple):
    """What a block of queries brings: how it attended, and the cotangent of what it got.

    Attributes:
        softmax: How its scores become weights.
        cotangent: Of its context.
        mean: Of each query, its context times the cotangent: what the softmax subtracts.
    """

    softmax: Softmax
    cotangent: Array
    mean: Array


def backward(
    grid: Grid,
    head: Head,
    softmax: Softmax,
    context: Array,
    cotangent: Array,
    *,
    of_bias: bool = True,
) -> Gradients:
    """Pull the cotangent of one head's context back to what it attended with.

    With weights P, cotangent G and mean m = Σ context · G of each query, the scores' is
    P (G Vᵀ - m) (Dao et al., "FlashAttention", 2022, appendix B.2).
    """
    cotangent = cotangent.astype(jnp.float32)
    mean = (context.astype(jnp.float32) * cotangent).sum(axis=-1)
    rest = (0, grid.padding[0])
    whole = Queries(
        Softmax(*(jnp.pad(x, rest, constant_values=jnp.inf) for x in softmax)),
        jnp.pad(cotangent, (rest, (0, 0))),
        jnp.pad(mean, rest),
    )

    def of_queries(carry, i):
        here = Queries(
            Softmax(*(grid.rows(x, i) for x in whole.softmax)),
            grid.rows(whole.cotangent, i),
            grid.rows(whole.mean, i),
        )

        def step(j: ArrayLike, carry: Gradients, is_edge: bool) -> Gradients:
            return _step(grid, head, i, j, here, carry, is_edge)

        of_query = grid.zeros(head, grid.block[0], head.query.shape[-1])
        carry = grid.sweep(i, head.offset, step, carry._replace(query=of_query))
        return carry._replace(query=zero.query), carry.query

    zero = Gradients(
        query=grid.zeros(head),
        key=grid.zeros(head, *head.key.shape),
        value=grid.zeros(head, *head.value.shape),
        bias=grid.zeros(head, *head.bias.shape) if of_bias and head.bias is not None else None,
        sink=None,
    )
    found, of_query = lax.scan(of_queries, zero, jnp.arange(grid.blocks[0]))
    of_query = lax.collapse(of_query, 0, 2)
    sink = None
    if head.sink is not None:
        sink = -(jnp.exp(head.sink - softmax.shift - softmax.log_sum) * mean).sum()
    return found._replace(query=of_query, sink=sink)


def _step(
    grid: Grid,
    head: Head,
    i: ArrayLike,
    j: ArrayLike,
    here: Queries,
    carry: Gradients,
    is_edge: bool,
) -> Gradients:
    key, value = grid.columns(head.key, j), grid.columns(head.value, j)
    weights = here.softmax.weights(grid.scores(head, i, j, is_edge))
    cotangent = here.cotangent.astype(value.dtype)
    toward = product("qe,ke->qk", cotangent, value)
    of_scores = weights * (toward - here.mean[:, None])
    bias = None if carry.bias is None else _add_to_bias(grid, carry.bias, of_scores, i, j)
    if grid.softcap is not None:
        of_scores *= 1 - jnp.square(grid.capped(head, i, j) / grid.softcap)
    of_scores = (of_scores if grid.scale == 1 else of_scores * grid.scale).astype(key.dtype)
    start = (j * grid.block[1], 0)
    of_value = product("qk,qe->ke", weights.astype(value.dtype), cotangent)
    of_key = product("qk,qd->kd", of_scores, grid.rows(head.query, i))
    return Gradients(
        query=carry.query + product("qk,kd->qd", of_scores, key),
        key=add_part(carry.key, of_key, start),
        value=add_part(carry.value, of_value, start),
        bias=bias,
        sink=None,
    )


def _add_to_bias(grid: Grid, bias: Array, of_scores: Array, i: ArrayLike, j: ArrayLike) -> Array:
    """Sum over what the bias is the same for."""
    for axis, size in enumerate(bias.shape):
        of_scores = of_scores.sum(axis=axis, keepdims=True) if size == 1 else of_scores
    return add_part(bias, of_scores, grid.place(bias.shape, i, j)[0])

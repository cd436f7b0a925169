"""The gradients of one head's attention, with the weights of each block computed anew."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from attn_jax.ops.streaming.blocks import Grid, Head, add_part, product
from attn_jax.ops.streaming.forward import Softmax


class Gradients(NamedTuple):
    """Gradients with respect to the fields of a `Head`, whose query is the scaled one."""

    query: Array
    key: Array
    value: Array
    bias: Array | None
    sink: Array | None


class Queries(NamedTuple):
    """A block of queries, as the forward pass left it.

    Attributes:
        softmax: The normalizers of its queries.
        cotangent: The cotangent of its context.
        mean: The inner product of each query's context and cotangent, which the softmax subtracts
            (D of FlashAttention).
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
    """Pull the cotangent of one head's context back to its operands.

    With weights P, cotangent G and mean m = Σ context · G of each query, the cotangent of the
    scores is P (G Vᵀ - m) (Dao et al., "FlashAttention", 2022, appendix B.2).

    Args:
        grid: How the map is cut into blocks.
        head: The operands.
        softmax: The normalizers that the forward pass found.
        context: The context.
        cotangent: The cotangent of the context.
        of_bias: Whether the gradient of the bias is needed.
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
    # Queries come in the outer loop: each block of them is finished when its row of blocks is,
    # while keys and values add up along the way.
    gradients, of_query = lax.scan(of_queries, zero, jnp.arange(grid.blocks[0]))
    of_query = lax.collapse(of_query, 0, 2)
    # A sink has no value, so that of its cotangent only the mean is left.
    sink = None
    if head.sink is not None:
        sink = -(jnp.exp(head.sink - softmax.shift - softmax.log_sum) * mean).sum()
    return gradients._replace(query=of_query, sink=sink)


def _step(
    grid: Grid,
    head: Head,
    i: ArrayLike,
    j: ArrayLike,
    here: Queries,
    carry: Gradients,
    is_edge: bool,
) -> Gradients:
    # The weights were not stored: their normalizers suffice to compute a block of them anew.
    key, value = grid.columns(head.key, j), grid.columns(head.value, j)
    weights = here.softmax.weights(grid.scores(head, i, j, is_edge))
    cotangent = here.cotangent.astype(value.dtype)
    # Back through the product with the values, and through the softmax.
    of_weights = product("qe,ke->qk", cotangent, value)
    of_scores = weights * (of_weights - here.mean[:, None])
    bias = None if carry.bias is None else _add_to_bias(grid, carry.bias, of_scores, i, j)
    # Back through the softcap, whose slope is 1 - tanh², and the scale, to query and key.
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
    """Add a block's part, summed over the axes along which the bias is shared."""
    for axis, size in enumerate(bias.shape):
        of_scores = of_scores.sum(axis=axis, keepdims=True) if size == 1 else of_scores
    return add_part(bias, of_scores, grid.place(bias.shape, i, j)[0])

"""All heads of a batch: cut apart for one head's functions, one after another or side by side."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from attn_jax.ops.devices import Kernel
from attn_jax.ops.streaming_backward import backward
from attn_jax.ops.streaming_blocks import Grid, Head
from attn_jax.ops.streaming_forward import Rows, Softmax, forward, seen_keys
from attn_jax.ops.streaming_weights import Told, told_by_weights
from attn_jax.ops.summary import Summary

Arrays = dict[str, Array]
"""The fields of a `Head`, each `(b or 1, heads or 1, ...)`."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is known of a call before it has numbers.

    Attributes:
        grid: How each head's map is cut into blocks.
        batch: How many sequences there are.
        num_heads: How many heads a query has.
        summary: What is to be known of the weights.
        in_turn: Whether heads come one after another, which suits a CPU: there a matrix product
            keeps all cores busy, and a batch of them runs slower.
        kernel: What compiles the kernels for this call; None is the form that XLA compiles.
        interpret: Whether kernels are run step by step instead, which any backend can.
    """

    grid: Grid
    batch: int
    num_heads: int
    summary: Summary
    in_turn: bool
    kernel: Kernel | None = None
    interpret: bool = False

    def head(self, arrays: Arrays, n: Array) -> Head:
        """What one head of one sequence attends with."""
        b, h = n // self.num_heads, n % self.num_heads

        def pick(array: Array) -> Array:
            batch, heads = array.shape[:2]
            at = (b if batch > 1 else 0, h // (self.num_heads // heads) if heads > 1 else 0)
            return lax.dynamic_index_in_dim(
                lax.dynamic_index_in_dim(array, at[0], keepdims=False), at[1], keepdims=False
            )

        return Head(**{name: pick(array) for name, array in arrays.items()})

    def over_heads(self, function: Callable[..., Any], *each: Any) -> Any:
        """Call `function(n, *each[n])` for all heads; results are `(b, h, ...)`."""
        numbers = jnp.arange(self.batch * self.num_heads)
        flat = jax.tree.map(lambda x: lax.collapse(x, 0, 2), each)
        if self.in_turn:
            found = lax.map(lambda args: function(*args), (numbers, *flat))
        else:
            found = jax.vmap(function)(numbers, *flat)
        return jax.tree.map(lambda x: x.reshape(self.batch, self.num_heads, *x.shape[1:]), found)


def _attend(plan: Plan, arrays: Arrays) -> Rows:
    """Attend with every head; see `streaming_forward.forward`."""
    if plan.kernel:
        from attn_jax.ops.streaming_kernels import attend_rows

        return attend_rows(plan, arrays)
    return plan.over_heads(lambda n: forward(plan.grid, plan.summary, plan.head(arrays, n)))


def _attend_ahead(plan: Plan, arrays: Arrays) -> tuple[Rows, tuple[Arrays, Array, Softmax]]:
    rows = _attend(plan, arrays)
    return rows, (arrays, rows.context, rows.softmax)


def _attend_back(
    plan: Plan, saved: tuple[Arrays, Array, Softmax], cotangent: Rows
) -> tuple[dict[str, Array | None]]:
    arrays, context, softmax = saved

    def of_head(n: Array, *each: Any) -> dict[str, Array]:
        found = backward(plan.grid, plan.head(arrays, n), *each)
        return {name: x for name, x in found._asdict().items() if x is not None}

    found = plan.over_heads(of_head, softmax, context, cotangent.context)
    return ({name: _summed(found.get(name), array) for name, array in arrays.items()},)


def _summed(gradient: Array | None, like: Array) -> Array | None:
    """Sum a gradient of each head over the heads and sequences that share what it is of."""
    if gradient is None:
        return None
    batch, heads = like.shape[:2]
    if batch == 1:
        gradient = gradient.sum(axis=0, keepdims=True)
    group = gradient.shape[1] // heads
    grouped = gradient.reshape(gradient.shape[0], heads, group, *gradient.shape[2:])
    return grouped.sum(axis=2).astype(like.dtype)


attend = jax.custom_vjp(_attend, nondiff_argnums=(0,))
attend.defvjp(_attend_ahead, _attend_back)


def summarize_weights(plan: Plan, arrays: Arrays, softmax: Softmax, lanes: Array) -> Told:
    """What the finished weights of every head tell; see `streaming_weights.told_by_weights`."""
    if plan.kernel:
        from attn_jax.ops.streaming_kernels import told_by_weights as told

        return told(plan, arrays, softmax)

    def of_head(n: Array, softmax: Softmax, lanes: Array) -> Told:
        return told_by_weights(plan.grid, plan.summary, plan.head(arrays, n), softmax, lanes)

    return plan.over_heads(of_head, softmax, lanes)


def seen_by_any(plan: Plan, arrays: Arrays) -> Array:
    """Which keys at least one query may look at, `(b, key heads, k)`."""
    seen = plan.over_heads(lambda n: seen_keys(plan.grid, plan.head(arrays, n)))
    batch, heads = arrays["key"].shape[:2]
    return seen.reshape(batch, heads, -1, seen.shape[-1]).any(axis=2)

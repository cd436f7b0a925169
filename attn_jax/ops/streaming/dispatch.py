"""All heads of a batch: cut apart for one head's functions, one after another or side by side."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from attn_jax.ops.devices import Kernel
from attn_jax.ops.streaming.backward import backward
from attn_jax.ops.streaming.blocks import Grid, Head
from attn_jax.ops.streaming.forward import Rows, Softmax, forward, seen_keys
from attn_jax.ops.streaming.summary import Summary
from attn_jax.ops.streaming.summary_pass import Told, told_by_weights

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
        in_turn: Whether heads come one after another, which suits a single CPU: there a matrix
            product keeps all cores busy, and a batch of them runs slower.
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

    def over_heads(self, function: Callable[..., Any], arrays: Arrays, *each: Any) -> Any:
        """Call `function(head, *each)` for all heads; `each` and results are `(b, h, ...)`."""
        heads = {"offset": arrays["offset"] + _nothing(arrays)}
        return (self._in_turn if self.in_turn else self._at_once)(function, arrays | heads, each)

    def _in_turn(self, function: Callable[..., Any], arrays: Arrays, each: Any) -> Any:
        def of_head(given: tuple[Array, Any]) -> Any:
            n, each = given
            b, h = n // self.num_heads, n % self.num_heads

            def pick(array: Array) -> Array:
                batch, heads = array.shape[:2]
                array = lax.dynamic_index_in_dim(array, b if batch > 1 else 0, keepdims=False)
                at = h // (self.num_heads // heads) if heads > 1 else 0
                return lax.dynamic_index_in_dim(array, at, keepdims=False)

            return function(Head(**{name: pick(x) for name, x in arrays.items()}), *each)

        flat = jax.tree.map(lambda x: lax.collapse(x, 0, 2), each)
        found = lax.map(of_head, (jnp.arange(self.batch * self.num_heads), flat))
        return jax.tree.map(lambda x: x.reshape(self.batch, self.num_heads, *x.shape[1:]), found)

    def _at_once(self, function: Callable[..., Any], arrays: Arrays, each: Any) -> Any:
        """By `vmap` over batch, key heads and their groups, so that a batch may be on devices."""
        group = self.num_heads // arrays["key"].shape[1]
        sizes = (self.batch, self.num_heads // group, group)

        def split(x: Array) -> Array:
            per = group if x.shape[1] == self.num_heads else 1
            return x.reshape(x.shape[0], x.shape[1] // per, per, *x.shape[2:])

        def mapped(depth: int, arrays: Arrays, each: Any) -> Any:
            if depth == len(sizes):
                return function(Head(**arrays), *each)
            shared = {name: x[0] for name, x in arrays.items() if x.shape[0] < sizes[depth]}
            apart = {name: x for name, x in arrays.items() if name not in shared}
            return jax.vmap(lambda apart, each: mapped(depth + 1, apart | shared, each))(
                apart, each
            )

        found = mapped(0, jax.tree.map(split, arrays), jax.tree.map(split, each))
        return jax.tree.map(lambda x: x.reshape(self.batch, self.num_heads, *x.shape[3:]), found)


def _nothing(arrays: Arrays) -> Array:
    """A zero that, under `shard_map`, varies over the devices as any of the arrays does.

    What is carried along the blocks starts from it, as a loop may not change what varies.
    """
    firsts = [x.reshape(-1)[0] for x in arrays.values() if x.size]
    return functools.reduce(jnp.logical_and, [x != x for x in firsts]).astype(jnp.int32) * 0


def _attend(plan: Plan, arrays: Arrays) -> Rows:
    """Attend with every head; see `streaming_forward.forward`."""
    if plan.kernel:
        from attn_jax.ops.streaming.pallas.kernels import attend_rows

        return attend_rows(plan, arrays)
    return plan.over_heads(lambda head: forward(plan.grid, plan.summary, head), arrays)


def _attend_ahead(plan: Plan, arrays: Arrays) -> tuple[Rows, tuple[Arrays, Array, Softmax]]:
    rows = _attend(plan, arrays)
    return rows, (arrays, rows.context, rows.softmax)


def _attend_back(
    plan: Plan, saved: tuple[Arrays, Array, Softmax], cotangent: Rows
) -> tuple[dict[str, Array | None]]:
    arrays, context, softmax = saved

    def of_head(head: Head, *each: Any) -> dict[str, Array]:
        found = backward(plan.grid, head, *each)
        return {name: x for name, x in found._asdict().items() if x is not None}

    found = plan.over_heads(of_head, arrays, softmax, context, cotangent.context)
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
        from attn_jax.ops.streaming.pallas.kernels import told_by_weights as told

        return told(plan, arrays, softmax)

    def of_head(head: Head, softmax: Softmax, lanes: Array) -> Told:
        return told_by_weights(plan.grid, plan.summary, head, softmax, lanes)

    return plan.over_heads(of_head, arrays, softmax, lanes)


def seen_by_any(plan: Plan, arrays: Arrays) -> Array:
    """Which keys at least one query may look at, `(b, key heads, k)`."""
    seen = plan.over_heads(lambda head: seen_keys(plan.grid, head), arrays)
    batch, heads = arrays["key"].shape[:2]
    return seen.reshape(batch, heads, -1, seen.shape[-1]).any(axis=2)

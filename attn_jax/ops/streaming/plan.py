"""Everything that a streamed call settles before it computes: blocks, kernels and arrays."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import Array, lax

from attn_jax.ops.devices import Kernel, kernel_compiler
from attn_jax.ops.reference.operands import Call, flat_batch
from attn_jax.ops.scores.dot_product import default_scale
from attn_jax.ops.streaming.blocks import Grid, Head
from attn_jax.ops.streaming.cpu import library
from attn_jax.ops.streaming.summary import Summary

BlockSizes = tuple[int, int]

Streaming = Literal["auto", "streaming", "kernel", "ring"]
"""The ways to attend block by block; on a CPU `auto` takes the kernels that are installed, and
`streaming` the form that XLA compiles. `ring` insists on devices that the sequence is divided
over."""

Arrays = dict[str, Any]
"""The fields of a `Head`, each `(b or 1, heads or 1, ...)`."""

_BLOCK_SIZES = (1024, 1024)
# A kernel keeps this many of the largest weights in registers.
_MAX_TOP_K = 64
_FAR = 2**30


@dataclasses.dataclass(frozen=True)
class Plan:
    """All that is known of a call before it has numbers.

    Attributes:
        grid: How each head's map is cut into blocks.
        batch: How many sequences there are.
        num_heads: How many heads a query has.
        summary: The statistics of the weights that are computed.
        query_scale: Multiplies the queries, in float32; None where products are scaled instead.
        sequential: Whether heads come one after another, which suits a single CPU: there a matrix
            product keeps all cores busy, and a batch of them runs slower.
        widens: Whether halves become float32, since a CPU has no matrix product of halves.
        kernel: What compiles this call's kernels; None is the form that XLA compiles.
        limits: At most how many queries and keys are in a block of a Pallas kernel, if the caller
            said so.
        interpret: Whether kernels are run step by step instead, which any backend can.
    """

    grid: Grid
    batch: int
    num_heads: int
    summary: Summary
    query_scale: float | None
    sequential: bool
    widens: bool
    kernel: Kernel | None = None
    limits: BlockSizes | None = None
    interpret: bool = False

    def over_heads(self, function: Callable[..., Any], arrays: Arrays, *each: Any) -> Any:
        """Call `function(head, *each)` for all heads; `each` and results are `(b, h, ...)`."""
        if self.sequential and self.batch:
            return self._sequential(function, arrays, each)
        return self._vmapped(function, arrays, each)

    def _sequential(self, function: Callable[..., Any], arrays: Arrays, each: Any) -> Any:
        def of_head(given: tuple[Array, Any]) -> Any:
            n, each = given
            b, h = n // self.num_heads, n % self.num_heads

            def pick(array: Array) -> Array:
                batch, heads = array.shape[:2]
                array = lax.dynamic_index_in_dim(array, b if batch > 1 else 0, keepdims=False)
                head = h // (self.num_heads // heads) if heads > 1 else 0
                return lax.dynamic_index_in_dim(array, head, keepdims=False)

            return function(Head(**jax.tree.map(pick, arrays)), *each)

        flat = jax.tree.map(lambda x: lax.collapse(x, 0, 2), each)
        results = lax.map(of_head, (jnp.arange(self.batch * self.num_heads), flat))
        return jax.tree.map(lambda x: x.reshape(self.batch, self.num_heads, *x.shape[1:]), results)

    def _vmapped(self, function: Callable[..., Any], arrays: Arrays, each: Any) -> Any:
        """Use `vmap` over batch, key heads and their groups, so that a batch may be on devices."""
        group = self.num_heads // arrays["key"].shape[1]
        sizes = (self.batch, self.num_heads // group, group)

        def split(x: Array) -> Array:
            per = group if x.shape[1] == self.num_heads else 1
            return x.reshape(x.shape[0], x.shape[1] // per, per, *x.shape[2:])

        leaves, structure = jax.tree.flatten(jax.tree.map(split, arrays))

        def mapped(depth: int, leaves: Sequence[Array], each: Any) -> Any:
            if depth == len(sizes):
                return function(Head(**jax.tree.unflatten(structure, leaves)), *each)
            is_shared = [x.shape[0] != sizes[depth] for x in leaves]
            leaves = [x[0] if shared else x for x, shared in zip(leaves, is_shared, strict=True)]
            axes = [None if shared else 0 for shared in is_shared]
            return jax.vmap(functools.partial(mapped, depth + 1), in_axes=(axes, 0))(leaves, each)

        results = mapped(0, leaves, jax.tree.map(split, each))
        return jax.tree.map(lambda x: x.reshape(self.batch, self.num_heads, *x.shape[3:]), results)


def plan_of(
    call: Call,
    block_sizes: BlockSizes | None,
    summary: Summary,
    implementation: Streaming = "auto",
) -> Plan:
    """Plan a call.

    Raises:
        ValueError: If the blocks are no sizes, the summary asks for more than there is, the
            numbers have 64 bits, or the kernels that are asked for do not have an option.
        ImportError: If they are not installed.
    """
    query, formula = call.query, call.formula
    *batch, num_queries, num_heads, _ = query.shape
    num_keys = call.key.shape[-3]
    if query.dtype.itemsize > 4:
        raise ValueError(
            f"streaming attention computes in float32 and query is {query.dtype}; "
            "attention(implementation='xla') keeps 64 bits."
        )
    summary.check(num_queries, num_keys)
    # Beyond all lengths, so that sums with positions stay in 32 bits.
    left, right = (min(side, _FAR) for side in formula.window) if formula.window else (None, None)
    # On devices halves stay halves, whose products are scaled after they were summed in float32.
    halves = query.dtype.itemsize < 4 and not _on_cpu()
    kernel = _kernel(call, block_sizes, summary, implementation)
    scale = float(default_scale(query, formula.scale))
    scales_products = halves or kernel == "cpu"
    grid = Grid(
        num_queries,
        num_keys,
        _block(block_sizes, (num_queries, num_keys)),
        window=(left, 0 if formula.causal else right),
        softcap=formula.softcap,
        scale=scale if scales_products else 1.0,
    )
    return Plan(
        grid,
        math.prod(batch),
        num_heads,
        summary,
        query_scale=None if scales_products else scale,
        sequential=_on_cpu() and jax.device_count() == 1,
        widens=_on_cpu(),
        kernel=kernel,
        limits=None if block_sizes is None else (block_sizes[0], block_sizes[1]),
    )


def _kernel(
    call: Call, block_sizes: BlockSizes | None, summary: Summary, implementation: Streaming
) -> Kernel | None:
    """Return what compiles the kernels of a call."""
    if implementation == "kernel":
        library.check(call, block_sizes, summary)
        return "cpu"
    if implementation == "auto" and library.serves(call, block_sizes, summary):
        return "cpu"
    return kernel_for(call) if summary.top_k <= _MAX_TOP_K else None


def kernel_for(call: Call) -> Kernel | None:
    """Return the compiler of the Pallas kernels that serve a call here, if any do.

    They take no mask or bias that differs from query to query, and no more than 128 features.
    """
    pairs = [call.optional[name] for name in ("mask", "bias") if name in call.optional]
    by_key = all(array.shape[-2] == 1 for array in pairs)
    features = max(call.query.shape[-1], call.value.shape[-1])
    is_empty = not (call.query.size and call.key.size)
    return kernel_compiler() if by_key and features <= 128 and not is_empty else None


def _on_cpu() -> bool:
    return jax.default_backend() == "cpu"


def _block(limits: BlockSizes | None, sizes: Sequence[int]) -> BlockSizes:
    """Return blocks within the limits, which share the tokens out evenly."""
    limits = _BLOCK_SIZES if limits is None else limits
    if len(limits) != 2 or min(limits) < 1:
        raise ValueError(
            f"block_sizes={limits} must be two positive numbers, of queries and of keys, as in "
            f"{_BLOCK_SIZES}."
        )
    return _even(limits[0], sizes[0]), _even(limits[1], sizes[1])


def _even(limit: int, tokens: int) -> int:
    if tokens <= limit:
        return max(tokens, 1)
    even = -(-tokens // -(-tokens // limit))
    return min(limit, -(-even // 128) * 128)


def arrays_of(plan: Plan, call: Call) -> Arrays:
    """Return each operand as `(b or 1, heads or 1, ...)`, padded to whole blocks."""
    operands, batch = call.optional, call.query.shape[:-3]
    pads = {"q": (0, plan.grid.padding[0]), "k": (0, plan.grid.padding[1]), ".": (0, 0)}
    query = call.query
    if plan.query_scale is not None:
        query = query.astype(jnp.promote_types(query.dtype, jnp.float32))
        query = query * plan.query_scale
    arrays = {}
    for name, array, axes in (
        ("query", query, "q."),
        ("key", call.key, "k."),
        ("value", call.value, "k."),
    ):
        array = array.astype(jnp.float32) if plan.widens else array
        array = jnp.moveaxis(array, -2, -3)
        arrays[name] = jnp.pad(
            array.reshape(plan.batch, *array.shape[-3:]), ((0, 0), (0, 0), *(pads[a] for a in axes))
        )
    for name in ("mask", "key_mask", "bias"):
        if name in operands:
            array = flat_batch(operands[name], batch)
            sizes = zip("qk", array.shape[-2:], strict=True)
            sides = [pads[axis] if size != 1 else (0, 0) for axis, size in sizes]
            arrays[name] = jnp.pad(array, ((0, 0), (0, 0), *sides))
    for name, axis in (("query_segments", "q"), ("key_segments", "k")):
        if name in operands:
            array = operands[name].reshape(plan.batch, 1, operands[name].shape[-1])
            arrays[name] = jnp.pad(array, ((0, 0), (0, 0), pads[axis]))
    if "sinks" in operands:
        arrays["sink"] = flat_batch(operands["sinks"], batch)[..., 0, 0].astype(jnp.float32)
    offset = operands.get("query_offset", jnp.zeros((1,) * (len(batch) + 1), jnp.int32))
    arrays["offset"] = flat_batch(offset[..., None, None], batch)[..., 0, 0]
    # Loops over blocks carry what they start from, and may not change over what it varies. The sum
    # with this zero costs nothing: XLA removes it.
    zero = varying_zero(arrays.values())
    return {
        name: x | zero.astype(bool) if x.dtype == bool else x + zero.astype(x.dtype)
        for name, x in arrays.items()
    }


def varying_zero(parts: Iterable[Array]) -> Array:
    """Return a zero that varies over the devices of a `shard_map` as any of the parts does."""
    firsts = [x.reshape(-1)[0] for x in parts if x.size]
    return functools.reduce(jnp.logical_and, [x != x for x in firsts]).astype(jnp.int32) * 0

"""What a call of streaming attention settles before it computes: blocks, kernels and arrays."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from attn_jax.ops.devices import Kernel, kernel_compiler
from attn_jax.ops.reference.derived import AttentionSite, Operands
from attn_jax.ops.reference.operands import flat_batch
from attn_jax.ops.scores.dot_product import default_scale
from attn_jax.ops.streaming.blocks import Grid
from attn_jax.ops.streaming.dispatch import Arrays, Plan
from attn_jax.ops.streaming.summary import Summary

BlockSizes = tuple[int, int]

_BLOCK_SIZES = (1024, 1024)
# How many of the largest weights a kernel keeps in registers.
_MOST_LARGEST = 64
_FAR = 2**30


def plan_of(
    site: AttentionSite, operands: Operands, block_sizes: BlockSizes | None, summary: Summary
) -> Plan:
    """What is known of a call before it has numbers.

    Raises:
        ValueError: If the blocks are no sizes.
    """
    *batch, num_queries, num_heads, _ = operands["query"].shape
    num_keys = operands["key"].shape[-3]
    # Beyond all lengths, so that sums with positions stay in 32 bits.
    left, right = (min(side, _FAR) for side in site.window) if site.window else (None, None)
    if site.causal:
        right = 0
    block = _block(block_sizes, (num_queries, num_keys))
    half = operands["query"].dtype.itemsize < 4 and not _on_cpu()
    scale = float(default_scale(operands["query"], site.scale)) if half else 1.0
    grid = Grid(num_queries, num_keys, block, (left, right), site.softcap, scale)
    kernel = kernel_for(operands) if summary.top_k <= _MOST_LARGEST else None
    return Plan(
        grid, math.prod(batch), num_heads, summary, _on_cpu() and jax.device_count() == 1, kernel
    )


def kernel_for(operands: Operands) -> Kernel | None:
    """Which kernels serve a call here, if any do.

    They take no mask or bias that differs from query to query, and no more than 128 features.
    """
    query, key = operands["query"], operands["key"]
    features = max(query.shape[-1], operands["value"].shape[-1])
    by_key = all(operands[name].shape[-2] == 1 for name in ("mask", "bias") if name in operands)
    return kernel_compiler() if by_key and features <= 128 and query.size and key.size else None


def _block(asked: BlockSizes | None, sizes: Sequence[int]) -> BlockSizes:
    """Blocks at most as large as asked for, which share the tokens out evenly."""
    asked = _BLOCK_SIZES if asked is None else asked
    if len(asked) != 2 or min(asked) < 1:
        raise ValueError(
            f"block_sizes={asked} must be two positive numbers, of queries and of keys, as in "
            f"{_BLOCK_SIZES}."
        )
    return _even(asked[0], sizes[0]), _even(asked[1], sizes[1])


def _even(most: int, tokens: int) -> int:
    if tokens <= most:
        return max(tokens, 1)
    even = -(-tokens // -(-tokens // most))
    return min(most, -(-even // 128) * 128)


def _on_cpu() -> bool:
    return jax.default_backend() == "cpu"


def arrays_of(site: AttentionSite, operands: Operands, plan: Plan) -> Arrays:
    """Each operand as `(b or 1, heads or 1, ...)`, padded to whole blocks."""
    batch = operands["query"].shape[:-3]
    pads = {"q": (0, plan.grid.padding[0]), "k": (0, plan.grid.padding[1]), ".": (0, 0)}
    query = operands["query"]
    if plan.grid.scale == 1.0:
        query = query.astype(jnp.promote_types(query.dtype, jnp.float32))
        query = query * default_scale(query, site.scale)
    found = {}
    for name, array, axes in (
        ("query", query, "q."),
        ("key", operands["key"], "k."),
        ("value", operands["value"], "k."),
    ):
        array = array.astype(jnp.float32) if _on_cpu() else array
        array = jnp.moveaxis(array, -2, -3)
        found[name] = jnp.pad(
            array.reshape(plan.batch, *array.shape[-3:]), ((0, 0), (0, 0), *(pads[a] for a in axes))
        )
    for name in ("mask", "bias"):
        if name in operands:
            array = flat_batch(operands[name], batch)
            sizes = zip("qk", array.shape[-2:], strict=True)
            sides = [pads[axis] if size > 1 else (0, 0) for axis, size in sizes]
            found[name] = jnp.pad(array, ((0, 0), (0, 0), *sides))
    for name, axis in (("query_segments", "q"), ("key_segments", "k")):
        if name in operands:
            array = operands[name]
            array = array.reshape(-1, 1, array.shape[-1])
            found[name] = jnp.pad(array, ((0, 0), (0, 0), pads[axis]))
    if "sinks" in operands:
        found["sink"] = flat_batch(operands["sinks"], batch)[..., 0, 0].astype(jnp.float32)
    offset = operands.get("query_offset", jnp.zeros((1,) * (len(batch) + 1), jnp.int32))
    found["offset"] = flat_batch(offset[..., None, None], batch)[..., 0, 0]
    return found

"""The programs of a kernel on a GPU or a TPU, one for each head and block, and their operands."""

import functools
from collections.abc import Callable, Collection
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as mosaic
from jax.experimental.pallas import triton

from attn_jax.ops.streaming.blocks import Grid
from attn_jax.ops.streaming.pallas.blocks import HbmRef
from attn_jax.ops.streaming.plan import Arrays, Plan

RESULT = "result"
"""The name of the results among the blocked operands."""

# The least features that a matrix unit takes.
_LEAST_FEATURES = 16


def kernel_operands(plan: Plan, grid: Grid, arrays: Arrays) -> Arrays:
    """Return the fields of a `Head` as `(b or 1, heads or 1, tokens or 1, ...)`.

    Masks, which are the same for all queries here, are added to the bias.
    """
    queries, keys = (n * size for n, size in zip(grid.blocks, grid.block, strict=True))
    lengths = {"query": (queries,), "key": (keys,), "value": (keys,)}
    fields = {
        name: _fit(arrays[name], *length, _features(arrays[name]))
        for name, length in lengths.items()
    }
    for name, length in (("query_segments", queries), ("key_segments", keys)):
        if name in arrays:
            fields[name] = _fit(arrays[name][:, :, None], 1, length)
    masks = [arrays[name] for name in ("mask", "key_mask") if name in arrays]
    added = [jnp.where(mask, 0.0, -jnp.inf) for mask in masks]
    biases = [arrays["bias"].astype(jnp.float32)] if "bias" in arrays else []
    if added or biases:
        bias = functools.reduce(jnp.add, biases + added)
        bias = jnp.broadcast_to(bias, (*bias.shape[:3], arrays["key"].shape[2]))
        fields["bias"] = _fit(bias, 1, keys)
    for name in ("offset", "sink"):
        if name in arrays:
            fields[name] = jnp.broadcast_to(arrays[name], (plan.batch, plan.num_heads))
    return fields


def _features(array: Array) -> int:
    return max(pl.next_power_of_2(max(array.shape[-1], 1)), _LEAST_FEATURES)


def _fit(array: Array, *sizes: int) -> Array:
    """Cut the last two axes, or fill them with zeros, to these sizes."""
    array = array[:, :, : sizes[0], : sizes[1]]
    rest = (0, sizes[0] - array.shape[2]), (0, sizes[1] - array.shape[3])
    return jnp.pad(array, ((0, 0), (0, 0), *rest))


def result(plan: Plan, *shape: int, dtype: Any = jnp.float32) -> Any:
    """Return the shape of a result of a kernel, for every head."""
    return jax.ShapeDtypeStruct((plan.batch, plan.num_heads, *shape), dtype)


def store(ref: Any, value: Array) -> None:
    """Write a result."""
    if value.ndim == 1:
        ref[0, :] = value
    else:
        ref[...] = value


def launch(
    plan: Plan,
    kernel: Callable[..., None],
    number: int,
    operands: Arrays,
    blocked: Collection[str],
    results: Any,
) -> Any:
    """Run `number` programs for each head, as `kernel(i, refs, refs of results)`.

    Each program gets its share of the tokens of the `blocked` operands and of the results.
    """
    # Programs of one head share its keys: a TPU runs the last axis first, a GPU the first.
    order = (2, 1, 0) if plan.kernel == "triton" else (0, 1, 2)
    heads = (plan.batch, plan.num_heads, number)
    remote = set(operands) - {*blocked, "offset", "sink"} if plan.kernel == "mosaic" else ()

    def place(shape: tuple[int, ...], b: Any, h: Any) -> tuple[Any, Any]:
        return b if shape[0] > 1 else 0, lax.div(h, plan.num_heads // shape[1])

    def spec(name: str, shape: tuple[int, ...]) -> pl.BlockSpec:
        if len(shape) == 2:
            return pl.BlockSpec(memory_space=mosaic.SMEM if plan.kernel == "mosaic" else None)
        if name in remote:
            return pl.BlockSpec(memory_space=pl.ANY)
        axis = (3 if shape[2] == 1 else 2) if name in blocked else None
        block = [size // number if n == axis else size for n, size in enumerate(shape)]

        def index(*program: Any) -> tuple[Any, ...]:
            b, h, i = (program[n] for n in order)
            return *place(shape, b, h), *(i if n == axis else 0 for n in (2, 3))

        return pl.BlockSpec((None, None, *block[2:]), index)

    def of_head(refs: dict[str, Any], *written: Any) -> None:
        b, h, i = (pl.program_id(n) for n in order)
        scalars = {name: refs[name][b, h] for name in ("offset", "sink") if name in refs}
        copied = {name: HbmRef(refs[name].at[place(refs[name].shape, b, h)]) for name in remote}
        kernel(i, refs | scalars | copied, jax.tree.unflatten(structure, written))

    outputs, structure = jax.tree.flatten(results)
    arrays = pl.pallas_call(
        of_head,
        grid=tuple(heads[n] for n in order),
        in_specs=({name: spec(name, x.shape) for name, x in operands.items()},),
        out_specs=[spec(RESULT, x.shape) for x in outputs],
        out_shape=outputs,
        compiler_params=_compiler(plan, operands),
        interpret=plan.interpret,
    )(operands)
    return jax.tree.unflatten(structure, arrays)


def _compiler(plan: Plan, operands: Arrays) -> Any:
    """Return the options of the compiler; wide heads need the registers of more warps."""
    if plan.kernel == "mosaic":
        return mosaic.CompilerParams(dimension_semantics=("parallel",) * 3)
    num_warps = 4 if operands["key"].shape[-1] <= 64 else 8
    return triton.CompilerParams(num_warps=num_warps, num_stages=2)

"""The calls of the compiled kernels: all heads at once, forward and backward."""

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from attn_jax.ops.streaming.forward import Rows, Softmax
from attn_jax.ops.streaming.plan import Arrays, Plan
from attn_jax.ops.streaming.summary_pass import WeightStatistics

_FAR = 2**40
_OPTIONAL = {
    "mask": bool,
    "key_mask": bool,
    "bias": jnp.float32,
    "query_segments": jnp.int32,
    "key_segments": jnp.int32,
    "sink": jnp.float32,
    "offset": jnp.int32,
}


def attend_rows(plan: Plan, arrays: Arrays) -> Rows:
    """Attend with every head, as `forward` does."""
    summary, grid = plan.summary, plan.grid
    of_queries = plan.batch, plan.num_heads, grid.num_queries
    features = plan.batch, grid.num_queries, plan.num_heads, arrays["value"].shape[-1]
    top = *of_queries, summary.top_k
    chosen = [summary.max_logit, summary.entropy, summary.distance]
    shapes = [of_queries, of_queries, *(of_queries if is_chosen else (0,) for is_chosen in chosen)]
    results = [*map(_floats, [features, *shapes, top]), jax.ShapeDtypeStruct(top, jnp.int32)]
    context, shift, log_sum, *rest = _call("attn_jax_forward", plan, arrays, results)
    chosen += [summary.top_k > 0] * 2
    max_logit, entropy, distance, top_weights, top_indices = _only(chosen, rest)
    return Rows(
        context=jnp.swapaxes(context, 1, 2),
        softmax=Softmax(shift, log_sum),
        log_normalizer=jnp.where(log_sum == jnp.inf, -jnp.inf, shift + log_sum),
        entropy=entropy,
        max_logit=max_logit,
        lanes=None,
        distance=distance,
        top_weights=top_weights,
        top_indices=top_indices,
    )


def weight_statistics(plan: Plan, arrays: Arrays, softmax: Softmax) -> WeightStatistics:
    """Compute the sums of weights, as the summary pass does; the forward pass found the largest."""
    summary, of_heads = plan.summary, (plan.batch, plan.num_heads)
    if not (summary.received or summary.pooled):
        return WeightStatistics(None, None)
    received = (*of_heads, plan.grid.num_keys) if summary.received else (0,)
    pooled = (*of_heads, *summary.pooled) if summary.pooled else (0,)
    results = map(_floats, (received, pooled))
    sums = _call("attn_jax_sums", plan, arrays, results, *softmax)
    return WeightStatistics(*_only((summary.received, summary.pooled is not None), sums))


def _only(chosen: Sequence[bool], results: Sequence[Array]) -> list[Array | None]:
    """Return the results that were chosen, and None for the others."""
    return [x if is_chosen else None for x, is_chosen in zip(results, chosen, strict=True)]


def gradients(
    plan: Plan,
    arrays: Arrays,
    softmax: Softmax,
    context: Array,
    cotangent: Array,
    *,
    of_bias: bool = True,
) -> dict[str, Array]:
    """Pull the cotangent of the context back to all operands, as `backward` does.

    The gradient of a bias of pairs is summed over the sequences and heads that share it; that of
    another is of every head.
    """
    cotangent = cotangent.astype(jnp.float32)
    given = *(jnp.swapaxes(context, 1, 2), *softmax), jnp.swapaxes(cotangent, 1, 2)
    bias = arrays.get("bias") if of_bias else None
    shapes = [x.shape for x in _by_token(plan, arrays)]
    shapes.append((0,) if bias is None else _bias_shape(plan, bias))
    *results, of_scores = _call("attn_jax_backward", plan, arrays, map(_floats, shapes), *given)
    pulled = {}
    for name, gradient in zip(("query", "key", "value"), results, strict=True):
        rest = arrays[name].shape[-2] - gradient.shape[-3]
        pulled[name] = jnp.pad(jnp.swapaxes(gradient, 1, 2), ((0, 0), (0, 0), (0, rest), (0, 0)))
    if bias is not None:
        sizes = zip(bias.shape[-2:], of_scores.shape[-2:], strict=True)
        pulled["bias"] = jnp.pad(of_scores, ((0, 0), (0, 0), *((0, n - m) for n, m in sizes)))
    # A sink has no value, so that of its cotangent only the mean is left.
    if "sink" in arrays:
        mean = (context * cotangent).sum(axis=-1)
        share = jnp.exp(arrays["sink"][..., None] - softmax.shift - softmax.log_sum)
        pulled["sink"] = -(share * mean).sum(axis=-1)
    return pulled


def _bias_shape(plan: Plan, bias: Array) -> tuple[int, ...]:
    """Return the shape of the gradient of a bias as the kernels compute it, without padding."""
    sizes = plan.grid.num_queries, plan.grid.num_keys
    pairs = tuple(1 if n == 1 else size for n, size in zip(bias.shape[-2:], sizes, strict=True))
    shared = (plan.batch, plan.num_heads) if 1 in pairs else bias.shape[:2]
    return *shared, *pairs


def _by_token(plan: Plan, arrays: Arrays) -> list[Array]:
    """Return query, key and value as `(b, tokens, heads, features)`, without padding."""
    sizes = plan.grid.num_queries, plan.grid.num_keys, plan.grid.num_keys
    each = zip(("query", "key", "value"), sizes, strict=True)
    return [jnp.swapaxes(arrays[name][:, :, :size], 1, 2) for name, size in each]


def _floats(shape: tuple[int, ...]) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def _call(
    target: str,
    plan: Plan,
    arrays: Arrays,
    results: Iterable[jax.ShapeDtypeStruct],
    *more: Any,
) -> Sequence[Array]:
    """Call a handler with the operands of a call; those that it has not are empty."""
    offset = arrays["offset"]
    # Cut out of an operand, an empty one varies over the devices of a `shard_map` as the others do;
    # and so must the results.
    empty = offset.reshape(-1)[:0]
    optional = [arrays.get(name, empty).astype(dtype) for name, dtype in _OPTIONAL.items()]
    kind = jax.typeof(offset)
    left, right = (_FAR if side is None else side for side in plan.grid.window)
    call = jax.ffi.ffi_call(
        target,
        [kind.update(shape=x.shape, dtype=x.dtype) for x in results],
        vmap_method="expand_dims",
    )
    return call(
        *_by_token(plan, arrays),
        *optional,
        *more,
        scale=np.float32(plan.grid.scale),
        softcap=np.float32(plan.grid.softcap or 0),
        left=np.int64(left),
        right=np.int64(right),
    )

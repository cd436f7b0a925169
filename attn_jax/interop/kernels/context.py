"""The hook points of a kernel's call, which follow from its operands."""

from collections.abc import Callable, Sequence
from typing import Any

from jax import Array

from attn_jax.hooks import tap_derived
from attn_jax.ops.fused.derived_summary import SummarizedFormula
from attn_jax.ops.reference.operands import checked_call

TapCall = Callable[[Sequence[Any], Sequence[Any]], Sequence[Any]]
"""Maps the results and the operands of a call to the same results with hook points."""

_NO_OPTIONS = {
    "mask": None,
    "bias": None,
    "key_mask": None,
    "segment_ids": None,
    "causal": False,
    "query_offset": 0,
    "window": None,
    "scale": None,
    "softcap": None,
    "sinks": None,
}


def tap_context(context: Array, query: Array, key: Array, value: Array, **options: Any) -> Array:
    """Give the result of a kernel the hook points of :func:`attn_jax.ops.attention`.

    Args:
        context: The result of the kernel, `(*b, q, h, e)`.
        query: Its operands, `(*b, q, h, d)`.
        key: `(*b, k, h_k, d)`.
        value: `(*b, k, h_k, e)`.
        **options: What the kernel computes, in the options of :func:`attn_jax.ops.attention`:
            `mask`, `bias`, `key_mask`, `segment_ids`, `causal`, `query_offset`, `window`,
            `scale`, `softcap` and `sinks`.

    Returns:
        The same context.

    Example:
        >>> from attn_jax.hooks import capture
        >>> x = jnp.ones((5, 2, 4))
        >>> def model(x):
        ...     context = jax.nn.dot_product_attention(x, x, x, is_causal=True)
        ...     return tap_context(context, x, x, x, causal=True)
        >>> capture(model, "weights")(x)[1]["weights"][0, 1].tolist()
        [0.5, 0.5, 0.0, 0.0, 0.0]
    """
    call = checked_call(query, key, value, **(_NO_OPTIONS | options), kind=SummarizedFormula)
    return tap_derived(call.formula, context, call.operands)

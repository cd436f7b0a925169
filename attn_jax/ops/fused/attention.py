"""Attention in one call, computed the fastest way for its sizes, with hook points all the same."""

import typing
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Real

from attn_jax.hooks import tap_derived
from attn_jax.ops.devices import compute_capability
from attn_jax.ops.fused.derived_summary import SummarizedFormula
from attn_jax.ops.fused.ring_formula import RingFormula
from attn_jax.ops.masks import combine_masks
from attn_jax.ops.reference.operands import Call, checked_call, flat_batch
from attn_jax.ops.streaming.attention import hide_unseen, stream
from attn_jax.ops.streaming.cpu import library
from attn_jax.ops.streaming.plan import Streaming, kernel_for, plan_of
from attn_jax.ops.streaming.ring.attention import Options, hide_unseen_around, stream_around
from attn_jax.ops.streaming.ring.axis import Ring, ring_of
from attn_jax.ops.streaming.summary import Summary

Implementation = Literal["auto", "xla", "cudnn", "streaming", "kernel", "ring"]
"""The ways to compute a fused call; `auto` takes the fastest for its sizes and device."""

_NOT_FUSIBLE = (
    "implementation='cudnn' has no softcap, no sinks, no 64-bit numbers, and wants query, key and "
    "value of one dtype and as many features in value as in key; 'auto' computes such calls too."
)


def attention(
    query: Real[Array, "*b q h d"],
    key: Real[Array, "*b k h_k d"],
    value: Real[Array, "*b k h_k e"],
    *,
    mask: Bool[Array, "..."] | None = None,
    bias: Real[Array, "..."] | None = None,
    key_mask: Bool[Array, "..."] | None = None,
    causal: bool = False,
    query_offset: int | Int[Array, "..."] = 0,
    window: int | tuple[int, int] | None = None,
    segment_ids: Int[Array, "..."] | tuple[Int[Array, "..."], Int[Array, "..."]] | None = None,
    scale: float | None = None,
    softcap: float | None = None,
    sinks: Real[Array, " h"] | None = None,
    implementation: Implementation = "auto",
) -> Float[Array, "*b q h e"]:
    r"""Attend with several heads, without returning the weights.

    .. math:: S = \operatorname{cap}(\text{scale} \cdot Q K^\top) + \text{bias}, \qquad
              \operatorname{attention} = \operatorname{softmax}_\text{mask}(S)\, V, \qquad
              \operatorname{cap}(s) = c \tanh(s / c)

    It has the hook points `query, key, value, scores, weights, summary, context`. Scores and
    weights are computed only if they are captured or edited, and the summary (see
    :class:`Summary`), which never holds them, only if it is captured by name; capturing never
    changes the way the call itself is computed. Long sequences are attended to block by block
    (:func:`streaming_attention`) where that is faster. Otherwise `jax.nn.dot_product_attention`
    does the work where it can: without `softcap` and `sinks`, in 32 bits or less, and with as many
    features in the values as in the keys. All other calls are computed stage by stage.

    A sequence that is divided over the devices of a mesh axis `sequence` is attended to around the
    ring of these devices, as :func:`streaming_attention` describes. Hook points are the same;
    inside of `shard_map` scores and weights are those of a device's own queries over all keys.

    Args:
        query: `(*b, q, h, d)`.
        key: `(*b, k, h_k, d)`; where `h_k` divides `h`, each head serves a group of query heads.
        value: `(*b, k, h_k, e)`.
        mask: Boolean, `(*b, h, q, k)` with ones where it is shared, `(q, k)` or `(k,)`; True = may
            attend.
        bias: Of the same shapes, added to the scores; minus infinity hides.
        key_mask: `(*b, k)`; True = the key exists.
        causal: Let each query see only the keys up to its own position.
        query_offset: The position of the first query among the keys. Decoding with a cache of
            `n` keys sets it to `n`; it may be traced, and differ along batch axes.
        window: How many keys to the left and to the right of its own position a query sees, ends
            included; one number is both.
        segment_ids: Numbers, broadcastable to `(*b, tokens)`; a query sees the keys of its own
            number. A pair where queries and keys are not the same tokens.
        scale: Multiplies the inner products; :math:`1/\sqrt{d}` if None.
        softcap: :math:`c`, the bound of the scaled products (Gemma 2).
        sinks: One score for each head that takes part in the softmax and attends to nothing, so
            that the weights of a query may sum to less than one (gpt-oss).
        implementation: `"streaming"`, `"kernel"` (a CPU, with the package `attn-jax-cpu`), `"xla"`,
            `"cudnn"` (an NVIDIA GPU, float16 or bfloat16), or `"auto"`, which takes whichever was
            measured to be the fastest for such sizes. `"ring"` refuses what is not divided over
            devices; `"xla"` and `"cudnn"` never go around, so that inside of `shard_map` they
            attend to a device's own keys alone.

    Returns:
        The context. A query that may attend to nothing gets zeros, and zero gradients.

    Raises:
        ValueError: If shapes do not fit together, a softcap or a window is out of range, or an
            implementation that is asked for by name does not have an option.
        TypeError: If a mask is not boolean.
        ImportError: If `"kernel"` is asked for and not installed.

    Example:
        >>> from attn_jax.hooks import capture
        >>> x = jnp.ones((5, 2, 4))
        >>> context, captured = capture(attention, "weights")(x, x, x, causal=True)
        >>> captured["weights"][0, 1].tolist()
        [0.5, 0.5, 0.0, 0.0, 0.0]

    References:
        Vaswani et al., "Attention Is All You Need", 2017. https://arxiv.org/abs/1706.03762
        Gemma Team, "Gemma 2", 2024, section 2. https://arxiv.org/abs/2408.00118
        OpenAI, "gpt-oss-120b & gpt-oss-20b Model Card", 2025, section 2.2.
        https://arxiv.org/abs/2508.10925
    """
    _check_implementation(implementation)
    ring = ring_of(query, key, value, implementation=implementation)
    call = checked_call(
        query,
        key,
        value,
        mask=mask,
        bias=bias,
        key_mask=key_mask,
        segment_ids=segment_ids,
        causal=causal,
        query_offset=query_offset,
        window=window,
        scale=scale,
        softcap=softcap,
        sinks=sinks,
        kind=SummarizedFormula,
        ring_size=ring.size if ring and ring.is_manual else 1,
    )
    if ring is not None:
        return _around(ring, call, implementation)
    # Long sequences: the online softmax, block by block.
    if implementation in ("streaming", "kernel") or (
        implementation == "auto" and _streaming_wins(call)
    ):
        plan = plan_of(call, None, Summary(), implementation)
        call = hide_unseen(plan, call)
        context, _ = stream(plan, call)
        return tap_derived(call.formula, context, call.operands)
    # All others: score, bias and mask, normalize and weigh, in one fused call where there is one.
    # What no query may see becomes zero first, so that NaN in the padding cannot reach a context.
    visible = None if call.sees_all else call.visible()
    call = call if visible is None else call.hide_unseen(visible.any(axis=-2))
    if _is_fusible(call):
        context = _fused(call, visible, implementation)
    elif implementation == "cudnn":
        raise ValueError(_NOT_FUSIBLE)
    else:
        context = call.formula.derive("context", call.operands)
    # The tap carries the operands, from which captured scores and weights are derived.
    return tap_derived(call.formula, context, call.operands)


def _around(ring: Ring, call: Call, implementation: Implementation) -> Array:
    """Attend to a sequence that is divided over devices."""
    options = Options(ring, implementation=typing.cast(Streaming, implementation))
    call = hide_unseen_around(options, call)
    context, _ = stream_around(options, call)
    here = {"ring": ring, "num_queries": call.query.shape[-3]}
    return tap_derived(RingFormula(**vars(call.formula), **here), context, call.operands)


def _check_implementation(implementation: str) -> None:
    known = typing.get_args(Implementation)
    if implementation not in known:
        raise ValueError(f"implementation={implementation!r} is none of {', '.join(known)}.")


# Queries times keys from which on blocks are faster on a CPU: see docs/benchmarks/attention.md.
_STREAMED_PAIRS = 512 * 512
# The same for the compiled kernels: see docs/cpu_kernels.md.
_KERNEL_PAIRS = 128 * 128
# Where there are Pallas kernels, no speed was measured: from here on a head's map takes 64 MiB.
_LARGE_PAIRS = 4096 * 4096


def _streaming_wins(call: Call) -> bool:
    """Whether attending block by block is the better way on this backend."""
    query, key = call.query, call.key
    pairs = query.shape[-3] * key.shape[-3]
    if query.dtype.itemsize > 4 or pairs < _KERNEL_PAIRS:
        return False
    if jax.default_backend() == "cpu":
        return pairs >= _STREAMED_PAIRS or library.serves(call, None, Summary())
    has_cudnn = _is_fusible(call) and _cudnn_applies(call)
    return not has_cudnn and pairs >= _LARGE_PAIRS and kernel_for(call) is not None


def _is_fusible(call: Call) -> bool:
    query, value = call.query, call.value
    return (
        call.formula.softcap is None
        and "sinks" not in call.optional
        and query.shape[-1] == value.shape[-1]
        and query.dtype == call.key.dtype == value.dtype
        and query.dtype.itemsize <= 4
        and query.size > 0
        and value.size > 0
    )


def _fused(call: Call, visible: Array | None, implementation: Implementation) -> Array:
    """Call `jax.nn.dot_product_attention`, whose masks know neither an offset nor empty rows."""
    formula, optional = call.formula, call.optional
    mask, bias = optional.get("mask"), optional.get("bias")
    causal, window = formula.causal, formula.window
    if implementation != "cudnn":
        implementation = "cudnn" if implementation == "auto" and _cudnn_applies(call) else "xla"
    # cuDNN takes only windows that look back, and XLA's are wrong in old versions of JAX.
    has_window = window is None or (implementation == "cudnn" and causal and window[1] == 0)
    if not has_window or call.is_shifted or "query_segments" in optional:
        mask, causal, window = formula.visible(call.operands), False, None
    else:
        mask = combine_masks(mask, optional.get("key_mask"))
    if bias is not None:
        # A row of minus infinities would have NaN for its gradients.
        mask, bias = combine_masks(mask, bias > -jnp.inf), jnp.where(bias > -jnp.inf, bias, 0)
    arrays, batch = (call.query, call.key, call.value), call.query.shape[:-3]
    if call.query.dtype == jnp.float16 and jax.default_backend() == "cpu":
        # Compiled for a CPU, XLA refuses the product of float16 that is summed in float32.
        arrays = (x.astype(jnp.float32) for x in arrays)
    context = jax.nn.dot_product_attention(
        *(x.reshape(-1, *x.shape[-3:]) for x in arrays),
        *(None if x is None else flat_batch(x, batch) for x in (bias, mask)),
        scale=formula.scale,
        is_causal=causal,
        local_window_size=window,
        implementation=implementation,
    )
    context = context.reshape(call.query.shape).astype(call.value.dtype)
    # A query that sees nothing got the mean of the values there; its context is zero.
    if visible is None:
        return context
    sees_any = jnp.swapaxes(visible.any(axis=-1), -1, -2)[..., None]
    return jnp.where(sees_any, context, 0)


def _cudnn_applies(call: Call) -> bool:
    """Whether cuDNN's kernels take such arrays: an NVIDIA GPU from Ampere on, short heads."""
    query, causal, window = call.query, call.formula.causal, call.formula.window
    return (
        compute_capability() >= 8
        and query.dtype in (jnp.float16, jnp.bfloat16)
        and query.shape[-1] % 8 == 0
        and query.shape[-1] <= 128
        and (window is None or (causal and window[1] == 0))
    )

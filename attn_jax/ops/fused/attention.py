"""Attention in one call, by the fastest way there is, and observable all the same."""

import typing
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from attn_jax.hooks import tap_derived
from attn_jax.ops.devices import compute_capability
from attn_jax.ops.fused.derived_summary import SummarizedSite
from attn_jax.ops.masks import combine_masks
from attn_jax.ops.reference.derived import AttentionSite
from attn_jax.ops.reference.operands import (
    aligned_operands,
    attention_site,
    check_heads,
    flat_batch,
    sees_all,
    visible_pairs,
    without_unseen,
)
from attn_jax.ops.streaming.attention import stream, without_unseen_keys
from attn_jax.ops.streaming.plan import kernel_for
from attn_jax.ops.streaming.summary import Summary

Implementation = Literal["auto", "xla", "cudnn", "streaming"]
"""How a fused call is computed: XLA's way, cuDNN's kernel, block by block, or the best here."""

_NOT_FUSIBLE = (
    "implementation='cudnn' has no softcap, no sinks, no 64-bit numbers, and wants query, key and "
    "value of one dtype and as many features in value as in key; 'auto' computes such calls too."
)


def attention(
    query: Float[Array, "*b q h d"],
    key: Float[Array, "*b k h_k d"],
    value: Float[Array, "*b k h_k e"],
    *,
    mask: Bool[Array, "..."] | None = None,
    bias: Float[Array, "..."] | None = None,
    causal: bool = False,
    query_offset: int | Int[Array, ""] = 0,
    window: int | tuple[int, int] | None = None,
    scale: float | None = None,
    softcap: float | None = None,
    sinks: Float[Array, " h"] | None = None,
    implementation: Implementation = "auto",
) -> Float[Array, "*b q h e"]:
    r"""Attend with several heads, without handing out the weights.

    .. math:: S = \operatorname{cap}(\text{scale} \cdot Q K^\top) + \text{bias}, \qquad
              \operatorname{attention} = \operatorname{softmax}_\text{mask}(S)\, V, \qquad
              \operatorname{cap}(s) = c \tanh(s / c)

    It has the hook points `query, key, value, scores, weights, summary, context`. Scores and
    weights are computed only if somebody captures or edits them, and the summary (see
    :class:`Summary`), which never holds them, only if somebody asks for it by name; what the call
    itself computes never changes with whether somebody is looking. Long sequences are attended to
    block by block (:func:`streaming_attention`) where that is faster. Otherwise
    `jax.nn.dot_product_attention` does the work where it can, that is without `softcap` and
    `sinks`, in 32 bits or less, and with as many features in the values as in the keys; elsewhere
    the same is computed stage by stage.

    Args:
        query: `(*b, q, h, d)`.
        key: `(*b, k, h_k, d)`; where `h_k` divides `h`, each head serves a group of query heads.
        value: `(*b, k, h_k, e)`.
        mask: broadcastable to `(*b, h, q, k)`; True = may attend.
        bias: broadcastable to `(*b, h, q, k)`, added to the scores; minus infinity hides.
        causal: let each query see only the keys up to its own position.
        query_offset: the position of the first query among the keys. Decoding with a cache of
            `n` keys sets it to `n`; it may be traced.
        window: how many keys to the left and to the right of its own position a query sees, ends
            included; one number is both.
        scale: what multiplies the inner products; :math:`1/\sqrt{d}` if None.
        softcap: :math:`c`, the bound of the scaled products (Gemma 2).
        sinks: one score for each head that takes part in the softmax and attends to nothing, so
            that the weights of a query may sum to less than one (gpt-oss).
        implementation: `"streaming"`, `"xla"`, `"cudnn"` (an NVIDIA GPU, float16 or bfloat16), or
            `"auto"`, which takes whichever was measured to be the fastest for such sizes. The
            first has no forward-mode derivative (`jax.jvp`); the second has.

    Returns:
        The context. A query that may attend to nothing gets zeros, and zero gradients.

    Raises:
        ValueError: if shapes do not fit together, or a softcap or a window is out of range.
        TypeError: if the mask is not boolean.

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
    check_heads(query, key, value)
    _check_implementation(implementation)
    site = attention_site(scale, softcap, causal, window, SummarizedSite)
    operands = {"query": query, "key": key, "value": value}
    operands |= aligned_operands(
        site, query, key.shape[-3], query_offset, mask=mask, bias=bias, sinks=sinks
    )
    is_whole = sees_all(site, operands, query_offset)
    if implementation == "streaming" or (
        implementation == "auto" and _streaming_wins(site, operands)
    ):
        operands |= {} if is_whole else without_unseen_keys(site, operands)
        return tap_derived(site, stream(site, operands, None, Summary())[0], operands)
    visible = None if is_whole else visible_pairs(site, operands)
    operands |= without_unseen(key, value, visible)
    if not _is_fusible(site, operands):
        if implementation == "cudnn":
            raise ValueError(_NOT_FUSIBLE)
        return tap_derived(site, site.derive("context", operands), operands)
    context = _fused(site, operands, query_offset, implementation)
    if visible is not None:
        sees_any = jnp.swapaxes(visible.any(axis=-1), -1, -2)[..., None]
        context = jnp.where(sees_any, context, 0)
    return tap_derived(site, context, operands)


def _check_implementation(implementation: str) -> None:
    known = typing.get_args(Implementation)
    if implementation not in known:
        raise ValueError(f"implementation={implementation!r} is none of {', '.join(known)}.")


# Queries times keys from which on blocks are faster on a CPU: see docs/benchmarks/attention.md.
_STREAMED_PAIRS = 512 * 512
# Where there are kernels, no speed was measured: from here on a head's map takes 64 MiB.
_LARGE_PAIRS = 4096 * 4096


def _streaming_wins(site: AttentionSite, operands: dict[str, Array]) -> bool:
    """Whether attending block by block is the better way on this backend."""
    query, key = operands["query"], operands["key"]
    pairs = query.shape[-3] * key.shape[-3]
    if query.dtype.itemsize > 4 or pairs < _STREAMED_PAIRS:
        return False
    if jax.default_backend() == "cpu":
        return True
    has_cudnn = _is_fusible(site, operands) and _cudnn_applies(query, site.causal, site.window)
    return not has_cudnn and pairs >= _LARGE_PAIRS and kernel_for(operands) is not None


def _is_fusible(site: AttentionSite, operands: dict[str, Array]) -> bool:
    query, value = operands["query"], operands["value"]
    return (
        site.softcap is None
        and "sinks" not in operands
        and query.shape[-1] == value.shape[-1]
        and query.dtype == operands["key"].dtype == value.dtype
        and query.dtype.itemsize <= 4
    )


def _fused(
    site: AttentionSite,
    operands: dict[str, Array],
    query_offset: int | Array,
    implementation: Literal["auto", "xla", "cudnn"],
) -> Array:
    """Call `jax.nn.dot_product_attention`, whose masks know neither an offset nor empty rows."""
    query, key, value = (operands[name] for name in ("query", "key", "value"))
    mask, bias = operands.get("mask"), operands.get("bias")
    causal, window = site.causal, site.window
    if implementation == "auto":
        implementation = "cudnn" if _cudnn_applies(query, causal, window) else "xla"
    # Windows are cuDNN's only if they look back; those of the other are wrong in old versions.
    has_window = window is None or (implementation == "cudnn" and causal and window[1] == 0)
    if not has_window or not isinstance(query_offset, int) or query_offset != 0:
        mask, causal, window = site.visible(operands), False, None
    if bias is not None:
        # A row of minus infinities would have NaN for its gradients.
        mask, bias = combine_masks(mask, bias > -jnp.inf), jnp.where(bias > -jnp.inf, bias, 0)
    batch = query.shape[:-3]
    context = jax.nn.dot_product_attention(
        *(x.reshape(-1, *x.shape[-3:]) for x in (query, key, value)),
        *(None if x is None else flat_batch(x, batch) for x in (bias, mask)),
        scale=site.scale,
        is_causal=causal,
        local_window_size=window,
        implementation=implementation,
    )
    return context.reshape(query.shape)


def _cudnn_applies(query: Array, causal: bool, window: tuple[int, int] | None) -> bool:
    """Whether cuDNN's kernels take such arrays: an NVIDIA GPU from Ampere on, short heads."""
    return (
        compute_capability() >= 8
        and query.dtype in (jnp.float16, jnp.bfloat16)
        and query.shape[-1] % 8 == 0
        and query.shape[-1] <= 128
        and (window is None or (causal and window[1] == 0))
    )

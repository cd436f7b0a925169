"""Attention in one call, by the fastest way there is, and observable all the same."""

import typing
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from attn_jax.hooks import tap, tap_derived
from attn_jax.ops.attention_operands import (
    aligned_operands,
    check_heads,
    sees_all,
    visible_pairs,
    without_unseen,
)
from attn_jax.ops.attention_site import AttentionSite
from attn_jax.ops.masks import combine_masks

Implementation = Literal["auto", "xla", "cudnn"]
"""How a fused call is computed: XLA's way, cuDNN's kernel, or whichever is better here."""

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

    It has the hook points `query, key, value, scores, weights, context`. Scores and weights are
    computed only if somebody captures or edits them; what the call itself computes never changes
    with whether somebody is looking. `jax.nn.dot_product_attention` does the work where it can,
    that is without `softcap` and `sinks`, in 32 bits or less, and with as many features in the
    values as in the keys; elsewhere the same is computed stage by stage.

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
        implementation: `"xla"`, `"cudnn"` (an NVIDIA GPU, float16 or bfloat16), or `"auto"`.

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
    _check_options(softcap, implementation)
    window = (window, window) if isinstance(window, int) else window
    site = AttentionSite(scale, softcap, causal, window)
    operands = {"query": query, "key": key, "value": value}
    operands |= aligned_operands(
        site, query, key.shape[-3], query_offset, mask=mask, bias=bias, sinks=sinks
    )
    visible = None if sees_all(site, operands, query_offset) else visible_pairs(site, operands)
    operands |= without_unseen(key, value, visible)
    if not _is_fusible(site, operands):
        if implementation == "cudnn":
            raise ValueError(_NOT_FUSIBLE)
        return _staged(site, operands)
    context = _fused(site, operands, query_offset, implementation)
    if visible is not None:
        sees_any = jnp.swapaxes(visible.any(axis=-1), -1, -2)[..., None]
        context = jnp.where(sees_any, context, 0)
    return tap_derived(site, context, operands)


def _check_options(softcap: float | None, implementation: str) -> None:
    if softcap is not None and softcap <= 0:
        raise ValueError(f"softcap={softcap} must be positive; None sets no bound.")
    known = typing.get_args(Implementation)
    if implementation not in known:
        raise ValueError(f"implementation={implementation!r} is none of {', '.join(known)}.")


def _is_fusible(site: AttentionSite, operands: dict[str, Array]) -> bool:
    query, value = operands["query"], operands["value"]
    return (
        site.softcap is None
        and "sinks" not in operands
        and query.shape[-1] == value.shape[-1]
        and query.dtype == operands["key"].dtype == value.dtype
        and query.dtype.itemsize <= 4
    )


def _staged(site: AttentionSite, operands: dict[str, Array]) -> Array:
    """Compute stage by stage, with a plain tap at each."""
    for leaf in site.leaves:
        operands = operands | {leaf: tap(leaf, site.derive(leaf, operands))}
    return operands["context"]


def _fused(
    site: AttentionSite,
    operands: dict[str, Array],
    query_offset: int | Array,
    implementation: Implementation,
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
        *(_flat_batch(x, batch) for x in (bias, mask)),
        scale=site.scale,
        is_causal=causal,
        local_window_size=window,
        implementation=implementation,
    )
    return context.reshape(query.shape)


def _flat_batch(array: Array | None, batch: tuple[int, ...]) -> Array | None:
    """Give a mask or a bias one batch axis; of size one, if it is the same for the whole batch."""
    if array is None:
        return None
    if any(size > 1 for size in array.shape[:-3]):
        array = jnp.broadcast_to(array, (*batch, *array.shape[-3:]))
    return array.reshape(-1, *array.shape[-3:])


def _cudnn_applies(query: Array, causal: bool, window: tuple[int, int] | None) -> bool:
    """Whether cuDNN's kernels take such arrays: an NVIDIA GPU from Ampere on, short heads."""
    device = jax.devices()[0]
    return (
        "NVIDIA" in device.device_kind
        and float(getattr(device, "compute_capability", 0)) >= 8
        and query.dtype in (jnp.float16, jnp.bfloat16)
        and query.shape[-1] % 8 == 0
        and query.shape[-1] <= 128
        and (window is None or (causal and window[1] == 0))
    )

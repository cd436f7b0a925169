"""The package flash-attention-jax, whose layout is `(b, h, tokens, d)`."""

import functools
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax.extend import core

from attn_jax.interop.kernels.context import TapCall, tap_context
from attn_jax.interop.kernels.reading import custom_vjp_name, pallas_kernel

_NAMES = ("flash_attention", "causal_flash_attention")


def blockwise_flash_attention(eqn: core.JaxprEqn) -> TapCall | None:
    """Recognize the calls of flash-attention-jax that take a softmax of inner products."""
    name = custom_vjp_name(eqn)
    if name not in _NAMES or pallas_kernel(eqn) is not None:
        return None
    return functools.partial(_tap, name == "causal_flash_attention")


def _tap(is_causal: bool, results: Sequence[Any], operands: Sequence[Any]) -> list[Any]:
    query, key, value, *masks = operands
    context = tap_context(
        *(jnp.swapaxes(x, -3, -2) for x in (results[0], query, key, value)),
        causal=is_causal,
        key_mask=masks[0].astype(bool) if masks else None,
    )
    return [jnp.swapaxes(context, -3, -2)]

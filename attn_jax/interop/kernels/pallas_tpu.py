"""`jax.experimental.pallas.ops.tpu.flash_attention`, in the layout `(b, h, tokens, d)`."""

import functools
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax.extend import core

from attn_jax.interop.kernels.context import TapCall, tap_context
from attn_jax.interop.kernels.reading import is_causal, pallas_kernel, scale_of_scores


def pallas_tpu_flash_attention(eqn: core.JaxprEqn) -> TapCall | None:
    """Recognize the call of Pallas' flash attention for TPUs."""
    kernel = pallas_kernel(eqn) if eqn.params.get("name") == "flash_attention" else None
    scale = None if kernel is None else scale_of_scores(kernel)
    if kernel is None or scale is None:
        return None
    return functools.partial(_tap, {"scale": scale, "causal": is_causal(kernel)})


def _tap(options: dict[str, Any], results: Sequence[Any], operands: Sequence[Any]) -> list[Any]:
    query, key, value, *others = operands
    # A bias has the rank of the scores. It is added before the scale is applied.
    biases = [options["scale"] * x for x in others if x.ndim == query.ndim]
    segments = tuple(x for x in others if x.ndim < query.ndim)
    context = tap_context(
        *(jnp.swapaxes(x, -3, -2) for x in (results[0], query, key, value)),
        bias=biases[0] if biases else None,
        segment_ids=segments or None,
        **options,
    )
    return [jnp.swapaxes(context, -3, -2)]

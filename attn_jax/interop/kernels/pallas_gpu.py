"""`jax.experimental.pallas.ops.gpu.attention.mha`, in the layout `(b, tokens, h, d)`."""

import functools
import math
from collections.abc import Sequence
from typing import Any

from jax.extend import core

from attn_jax.interop.kernels.context import TapCall, tap_context
from attn_jax.interop.kernels.reading import (
    custom_vjp_name,
    is_causal,
    pallas_kernel,
    scale_of_scores,
)


def pallas_gpu_attention(eqn: core.JaxprEqn) -> TapCall | None:
    """Recognize the call of Pallas' attention for GPUs."""
    kernel = pallas_kernel(eqn) if custom_vjp_name(eqn) == "mha" else None
    scale = None if kernel is None else scale_of_scores(kernel)
    if kernel is None or scale is None:
        return None
    # The kernel takes powers of two: it multiplies by the logarithm of e to the base of two.
    scale /= math.log2(math.e)
    return functools.partial(_tap, {"scale": scale, "causal": is_causal(kernel)})


def _tap(options: dict[str, Any], results: Sequence[Any], operands: Sequence[Any]) -> list[Any]:
    query, key, value, *segments = operands
    segment_ids = segments[0] if segments else None
    context = tap_context(results[0], query, key, value, segment_ids=segment_ids, **options)
    return [context, *results[1:]]

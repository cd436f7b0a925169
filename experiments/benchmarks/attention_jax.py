"""The JAX side of the benchmark `attention`: this library, `jax.nn` and Flax."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from jax import Array
from numpy.typing import NDArray

from attn_jax import ops
from experiments.benchmarks.attention_cases import MIB, MOST_BYTES, Case
from experiments.benchmarks.attention_worker import Call, serve

Attention = Callable[[Array, Array, Array], tuple[Array, Any]]


def summaries(tokens: int) -> dict[str, ops.Summary | None]:
    """Return the summary that each contender computes."""
    tiles = min(128, tokens)
    few = ops.Summary(entropy=True, max_logit=True)
    sums = dataclasses.replace(few, received=True, distance=True, pooled=(tiles, tiles))
    return {
        "streaming": None,
        "streaming + entropy": few,
        "streaming + sums": sums,
        "streaming + all": dataclasses.replace(sums, top_k=8),
    }


def attention(case: Case, tokens: int) -> Attention:
    """Return the function of a case, from query, key and value to the context and a summary."""
    causal, window = case.mask == "causal", (case.window - 1, 0) if case.mask == "window" else None
    streamed = summaries(tokens)
    form, plus, fields = case.contender.partition(" + ")
    if form in ("streaming", "kernel"):
        summary = streamed[f"streaming{plus}{fields}"]

        def streaming(*x: Array) -> tuple[Array, Any]:
            result: Any = ops.streaming_attention(
                *x, causal=causal, window=window, summary=summary, implementation=form
            )
            return result if summary else (result, None)

        return streaming
    plain = {
        "auto": lambda *x: ops.attention(*x, causal=causal, window=window),
        "jax.nn": lambda *x: jax.nn.dot_product_attention(
            *x, is_causal=causal, local_window_size=window
        ),
        "Flax": lambda *x: linen.dot_product_attention(*x, mask=_mask(case, tokens)),
    }[case.contender]
    return lambda *x: (plain(*x), None)


def _mask(case: Case, tokens: int) -> Array | None:
    if case.mask == "full":
        return None
    reach = case.window if case.mask == "window" else tokens
    distance = jnp.arange(tokens)[:, None] - jnp.arange(tokens)
    return ((distance >= 0) & (distance < reach))[None, None]


def gradient_of(attend: Attention) -> Callable[[Array, Array, Array, Array], Any]:
    """Return the function of query, key, value and the context's gradient to all gradients."""

    def gradient(query: Array, key: Array, value: Array, cotangent: Array) -> Any:
        context, pull, beside = jax.vjp(attend, query, key, value, has_aux=True)
        return context, *pull(cotangent), beside

    return gradient


def prepare(case: Case, arrays: NDArray[np.float32]) -> tuple[Call, dict[str, Any]]:
    """Compile a case; refuse one whose temporaries are too large."""
    attend, given = attention(case, arrays.shape[2]), [jnp.asarray(array) for array in arrays]
    function, given = (
        (gradient_of(attend), given) if case.passes == "gradient" else (attend, given[:3])
    )
    compiled = jax.jit(function).lower(*given).compile()
    analysis = compiled.memory_analysis()
    assert analysis is not None
    temporaries = analysis.temp_size_in_bytes
    if temporaries > MOST_BYTES:
        raise MemoryError(f"more than {MOST_BYTES // MIB:,} MiB of temporaries")
    shown = 2 if case.passes == "gradient" else 1

    def call() -> Sequence[Array]:
        return jax.block_until_ready(compiled(*given))[:shown]

    return call, {"temporaries": temporaries}


if __name__ == "__main__":
    serve(prepare)

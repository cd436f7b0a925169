"""The attention of transformers' models, routed to `ops.attention`.

transformers keeps a register of attention functions, and of functions that make their masks. The
bridge adds one of each under a name of its own; models that ask for another never meet them.
"""

import contextlib
import contextvars
import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp

from attn_jax.interop.pytorch.masks import arguments_of, ruled_mask_class, rules_of
from attn_jax.interop.pytorch.packages import packages
from attn_jax.ops.fused.attention import attention

NAME = "attn_jax"


@dataclasses.dataclass(frozen=True)
class Run:
    """One call of a bridged model.

    Attributes:
        env: The environment of its tensors.
        has_positions: Whether the caller chose the positions, which may then mark segments.
    """

    env: Any
    has_positions: bool


_run: contextvars.ContextVar[Run] = contextvars.ContextVar("run")


@contextlib.contextmanager
def running(run: Run) -> Iterator[None]:
    """Let attention and masks of this thread belong to this call."""
    token = _run.set(run)
    try:
        yield
    finally:
        _run.reset(token)


@functools.cache
def register() -> str:
    """Add the functions to the registers of transformers, once; return their name."""
    packages().transformers.AttentionInterface.register(NAME, attend)
    packages().transformers.AttentionMaskInterface.register(NAME, make_mask)
    return NAME


def attend(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    *,
    scaling: float | None = None,
    is_causal: bool | None = None,
    softcap: float | None = None,
    s_aux: Any = None,
    position_bias: Any = None,
    **_: Any,
) -> tuple[Any, None]:
    """Attend as transformers' own functions do, with hook points; weights are not returned.

    Args:
        module: The attention of the model.
        query: `(b, h, q, d)`.
        key: `(b, h_k, k, d)`; `h_k` divides `h`.
        value: `(b, h_k, k, e)`.
        attention_mask: `(b, 1 or h, q, k)`: rules, booleans, or numbers that are added.
        scaling: Multiplies the inner products.
        is_causal: Whether it is causal without a mask; the module says so if None.
        softcap: The bound of the scaled products.
        s_aux: A sink for each head.
        position_bias: Added to the scores.
    """
    env = _run.get().env
    if attention_mask is None:
        is_causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
        options = {"causal": bool(is_causal) and query.shape[2] > 1}
    else:
        options = _options(attention_mask, query.shape[2], key.shape[2])
    biases = [bias for bias in (position_bias, options.pop("bias", None)) if bias is not None]
    options |= {"bias": sum(biases[1:], biases[0]) if biases else None, "sinks": s_aux}
    operands = (jnp.swapaxes(x.jax(), 1, 2) for x in (query, key, value))
    context = attention(*operands, scale=scaling, softcap=softcap, **env.t2j_iso(options))
    return env.j2t_iso(context), None


def _options(mask: Any, queries: int, keys: int) -> dict[str, Any]:
    """Return a mask as arguments of `ops.attention`."""
    if isinstance(mask, ruled_mask_class()):
        return arguments_of(mask.rules, queries, keys)
    return {"mask" if mask.dtype == packages().torch.bool else "bias": mask}


def make_mask(
    batch_size: int,
    q_length: int,
    kv_length: int,
    q_offset: Any = 0,
    kv_offset: int = 0,
    mask_function: Any = None,
    attention_mask: Any = None,
    *,
    allow_is_bidirectional_skip: bool = False,
    **others: Any,
) -> Any:
    """Make a mask from the function that says which key a query may see.

    Args:
        batch_size: The number of sequences.
        q_length: The number of queries.
        kv_length: The number of keys.
        q_offset: The position of the first query.
        kv_offset: The position of the first key.
        mask_function: Of the indices of a sequence, a head, a query and a key.
        attention_mask: `(batch, keys)`; the keys that exist.
        allow_is_bidirectional_skip: Whether None may stand for a mask that hides nothing.
        others: What transformers passes to functions that lay masks out.
    """
    run, masking = _run.get(), packages().masking
    sizes = batch_size, q_length, kv_length, q_offset, kv_offset

    def lay_out():
        options = others | {"allow_is_causal_skip": False}
        return masking.sdpa_mask(*sizes, mask_function, attention_mask, **options)

    is_whole = isinstance(q_offset, int) and q_offset == kv_offset == 0
    rules = rules_of(mask_function, kv_length, run.has_positions) if is_whole else None
    if rules is None:
        return lay_out()
    if attention_mask is not None:
        key_mask = masking.prepare_padding_mask(attention_mask, kv_length, kv_offset)
        rules["key_mask"] = key_mask[:, :kv_length].jax()
    if not rules and allow_is_bidirectional_skip:
        return None
    return ruled_mask_class()(rules, (batch_size, 1, q_length, kv_length), lay_out, run.env)

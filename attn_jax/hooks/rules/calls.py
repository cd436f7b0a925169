"""Rules of calls: `jax.jit` and the plain calls that only group equations."""

from collections.abc import Sequence
from typing import Any

import jax
from jax.extend import core

from attn_jax.hooks.frame import Frame
from attn_jax.hooks.freed import run_freed
from attn_jax.hooks.points import Block, Captured
from attn_jax.hooks.rules.rule import Rule, SubJaxpr


def _run_jit(
    frame: Frame, eqn: core.JaxprEqn, values: Sequence[Any], blocks: Sequence[Block]
) -> tuple[Sequence[Any], Captured]:
    params = eqn.params

    def call(*values):
        return frame.evaluate(blocks[0], params["jaxpr"], values)

    # The rebuilt call keeps the name and the shardings of the original: profiles show the one,
    # and the layout of the results over devices depends on the other.
    call.__name__ = params["name"]
    ins, outs = _specified(params["in_shardings"]), _specified(params["out_shardings"])
    if not (ins or outs):
        # Outside of `jit` the program of the call before is found again.
        return run_freed(call, *values)
    # Buffers are not donated, because the caller may use the same arguments again.
    jitted = jax.jit(
        call,
        in_shardings=ins,
        out_shardings=(list(outs), None) if outs else None,
        inline=params["inline"],
    )
    return jitted(*values)


def _specified(shardings: Sequence[Any]) -> tuple[Any, ...] | None:
    """Return shardings with None for each that was left open, or None if all were."""
    specified = tuple(s if isinstance(s, jax.sharding.Sharding) else None for s in shardings)
    return specified if any(s is not None for s in specified) else None


def _run_call(
    frame: Frame, eqn: core.JaxprEqn, values: Sequence[Any], blocks: Sequence[Block]
) -> tuple[Sequence[Any], Captured]:
    return frame.evaluate(blocks[0], eqn.params["call_jaxpr"], values)


_jit = Rule(lambda eqn: [SubJaxpr(eqn.params["jaxpr"])], _run_jit)
_call = Rule(lambda eqn: [SubJaxpr(eqn.params["call_jaxpr"])], _run_call)

RULES = {"jit": _jit, "pjit": _jit, "closed_call": _call, "core_call": _call}

"""Calls: `jax.jit` and the plain calls that only group equations."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
from jax.extend import core

from attn_jax.hooks.rules.rule import Body, Found, Rule

if TYPE_CHECKING:
    from attn_jax.hooks.interpreter import Frame
    from attn_jax.hooks.survey import Block


def _run_jit(
    frame: "Frame", eqn: core.JaxprEqn, values: Sequence[Any], blocks: Sequence["Block"]
) -> tuple[Sequence[Any], Found]:
    params = eqn.params

    def call(*values):
        return frame.evaluate(blocks[0], params["jaxpr"], values)

    call.__name__ = params["name"]
    ins, outs = _known(params["in_shardings"]), _known(params["out_shardings"])
    # Buffers are not donated here: the function may be asked again with the same arguments.
    jitted = jax.jit(
        call,
        in_shardings=ins,
        out_shardings=(list(outs), None) if outs else None,
        inline=params["inline"],
    )
    return jitted(*values)


def _known(shardings: Sequence[Any]) -> tuple[Any, ...] | None:
    """Return shardings with None for each that was left open, or None if all were."""
    known = tuple(s if isinstance(s, jax.sharding.Sharding) else None for s in shardings)
    return known if any(s is not None for s in known) else None


def _run_call(
    frame: "Frame", eqn: core.JaxprEqn, values: Sequence[Any], blocks: Sequence["Block"]
) -> tuple[Sequence[Any], Found]:
    return frame.evaluate(blocks[0], eqn.params["call_jaxpr"], values)


_jit = Rule(lambda eqn: [Body(eqn.params["jaxpr"])], _run_jit)
_call = Rule(lambda eqn: [Body(eqn.params["call_jaxpr"])], _run_call)

RULES = {"jit": _jit, "pjit": _jit, "closed_call": _call, "core_call": _call}

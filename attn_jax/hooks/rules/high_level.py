"""Rules of JAX's next engine, in which calls with a derivative of their own are one primitive.

It is chosen by flags (`jax_remat3`, `jax_custom_vjp3`, `jax_scan3`). A checkpoint and a custom
derivative are run as they are without the flags; a scan of that engine is refused by name.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
from jax.extend import core

from attn_jax.hooks.frame import Frame
from attn_jax.hooks.points import Block, Captured
from attn_jax.hooks.rules.rule import Rule, SubJaxpr


def _sub_jaxprs(eqn: core.JaxprEqn) -> list[SubJaxpr]:
    primitive = eqn.params["_prim"]
    if _is_checkpoint(primitive):
        return [SubJaxpr(primitive.params["jaxpr"])]
    if _is_custom_derivative(primitive):
        reason = "it lies inside 'custom_vjp', whose own rule an edit would bypass"
        return [SubJaxpr(primitive.params["traced"].jaxpr, frozen=reason)]
    reason = f"it lies inside {type(primitive).__name__!r}, which hooks cannot look into"
    return [SubJaxpr(jaxpr, hidden=reason) for jaxpr in _jaxprs(list(primitive.params.values()))]


def _is_checkpoint(primitive: Any) -> bool:
    return set(primitive.params) == {"jaxpr", "policy"}


def _is_custom_derivative(primitive: Any) -> bool:
    return {"traced", "fwd", "bwd"} <= set(primitive.params)


def _jaxprs(value: Any) -> Iterator[core.Jaxpr | core.ClosedJaxpr]:
    """Yield the jaxprs among parameters, and those that these hold as `.jaxpr`."""
    if isinstance(value, (core.Jaxpr, core.ClosedJaxpr)):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _jaxprs(item)
    elif hasattr(value, "jaxpr"):
        yield from _jaxprs(value.jaxpr)


def _run(
    frame: Frame, eqn: core.JaxprEqn, values: Sequence[Any], blocks: Sequence[Block]
) -> tuple[Sequence[Any], Captured]:
    params = eqn.params["_prim"].params

    def body(*values):
        jaxpr = params["jaxpr"] if "jaxpr" in params else params["traced"].jaxpr
        return frame.evaluate(blocks[0], jaxpr, values)

    if "policy" in params:
        return jax.checkpoint(body, policy=params["policy"])(*values)
    return frame.replay(eqn, values), body(*values)[1]


RULES = {"call_hi_primitive": Rule(_sub_jaxprs, _run)}

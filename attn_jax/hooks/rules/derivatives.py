"""Derivatives: what is checkpointed stays so, and a custom derivative stays in force."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
from jax.extend import core

from attn_jax.hooks.bodies import Body, Found, Rule

if TYPE_CHECKING:
    from attn_jax.hooks.interpreter import Frame
    from attn_jax.hooks.survey import Block


def _checkpoint_bodies(eqn: core.JaxprEqn) -> list[Body]:
    return [Body(eqn.params["jaxpr"], is_replay=eqn.params["differentiated"])]


def _run_checkpoint(
    frame: "Frame", eqn: core.JaxprEqn, values: Sequence[Any], blocks: Sequence["Block"]
) -> tuple[Sequence[Any], Found]:
    params = eqn.params

    def body(*values):
        return frame.evaluate(blocks[0], params["jaxpr"], values)

    keep = jax.checkpoint(body, prevent_cse=params["prevent_cse"], policy=params["policy"])
    return keep(*values)


def _frozen(parameter: str) -> Rule:
    """Return the rule of a primitive that says for itself how it is differentiated or lowered."""

    def bodies(eqn: core.JaxprEqn) -> list[Body]:
        why = f"it lies inside {eqn.primitive.name!r}, whose own rule an edit would bypass"
        return [Body(eqn.params[parameter], frozen=why)]

    def run(
        frame: "Frame", eqn: core.JaxprEqn, values: Sequence[Any], blocks: Sequence["Block"]
    ) -> tuple[Sequence[Any], Found]:
        # The values come from a copy of the body, which XLA merges with the original.
        _, found = frame.evaluate(blocks[0], eqn.params[parameter], values)
        return frame.replay(eqn, values), found

    return Rule(bodies, run)


RULES = {
    **dict.fromkeys(("checkpoint", "remat", "remat2"), Rule(_checkpoint_bodies, _run_checkpoint)),
    **dict.fromkeys(("custom_jvp_call", "custom_vjp_call"), _frozen("call_jaxpr")),
    "custom_vmap_call": _frozen("call"),
    "composite": _frozen("jaxpr"),
}

"""Derivatives: what is checkpointed stays so, and a custom derivative stays in force."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
from jax.extend import core

from attn_jax.hooks.rules.rule import Body, Found, Rule

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


def _body(eqn: core.JaxprEqn) -> core.ClosedJaxpr:
    """Return the one jaxpr among the parameters, whose name differs between versions of JAX."""
    kinds = core.Jaxpr | core.ClosedJaxpr
    return next(value for value in eqn.params.values() if isinstance(value, kinds))


def _frozen_bodies(eqn: core.JaxprEqn) -> list[Body]:
    why = f"it lies inside {eqn.primitive.name!r}, whose own rule an edit would bypass"
    return [Body(_body(eqn), frozen=why)]


def _run_frozen(
    frame: "Frame", eqn: core.JaxprEqn, values: Sequence[Any], blocks: Sequence["Block"]
) -> tuple[Sequence[Any], Found]:
    # The values come from a copy of the body, which XLA merges with the original.
    _, found = frame.evaluate(blocks[0], _body(eqn), values)
    return frame.replay(eqn, values), found


_checkpoint = Rule(_checkpoint_bodies, _run_checkpoint)
_frozen = Rule(_frozen_bodies, _run_frozen)

RULES = {
    **dict.fromkeys(("checkpoint", "remat", "remat2"), _checkpoint),
    **dict.fromkeys(
        ("custom_jvp_call", "custom_vjp_call", "custom_vmap_call", "composite"), _frozen
    ),
}

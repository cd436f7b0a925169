"""Rules of derivatives: a checkpoint stays one, and a custom derivative stays in force."""

from collections.abc import Sequence
from typing import Any

import jax
from jax.extend import core

from attn_jax.hooks.frame import Frame
from attn_jax.hooks.points import Block, Captured
from attn_jax.hooks.rules.rule import Rule, SubJaxpr


def _checkpoint_sub_jaxprs(eqn: core.JaxprEqn) -> list[SubJaxpr]:
    return [SubJaxpr(eqn.params["jaxpr"], is_replay=eqn.params["differentiated"])]


def _run_checkpoint(
    frame: Frame, eqn: core.JaxprEqn, values: Sequence[Any], blocks: Sequence[Block]
) -> tuple[Sequence[Any], Captured]:
    params = eqn.params

    def body(*values):
        return frame.evaluate(blocks[0], params["jaxpr"], values)

    # The body is checkpointed again, so that a backward pass stores no more than it did before.
    remat = jax.checkpoint(body, prevent_cse=params["prevent_cse"], policy=params["policy"])
    return remat(*values)


def _only_jaxpr(eqn: core.JaxprEqn) -> core.Jaxpr | core.ClosedJaxpr:
    """Return the one jaxpr among the parameters, whose name differs between versions of JAX."""
    kinds = core.Jaxpr | core.ClosedJaxpr
    return next(value for value in eqn.params.values() if isinstance(value, kinds))


def _frozen_sub_jaxprs(eqn: core.JaxprEqn) -> list[SubJaxpr]:
    reason = f"it lies inside {eqn.primitive.name!r}, whose own rule an edit would bypass"
    return [SubJaxpr(_only_jaxpr(eqn), frozen=reason)]


def _run_frozen(
    frame: Frame, eqn: core.JaxprEqn, values: Sequence[Any], blocks: Sequence[Block]
) -> tuple[Sequence[Any], Captured]:
    # The captured values come from a copy of the body, which XLA merges with the original; the
    # results come from the original, which keeps its custom rule.
    _, captured = frame.evaluate(blocks[0], _only_jaxpr(eqn), values)
    return frame.replay(eqn, values), captured


_checkpoint = Rule(_checkpoint_sub_jaxprs, _run_checkpoint)
_frozen = Rule(_frozen_sub_jaxprs, _run_frozen)

RULES = {
    **dict.fromkeys(("checkpoint", "remat", "remat2"), _checkpoint),
    **dict.fromkeys(
        ("custom_jvp_call", "custom_vjp_call", "custom_vmap_call", "composite"), _frozen
    ),
}

"""Branches: `cond` and `switch` give zeros for what they did not compute, and a flag."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.extend import core

from attn_jax.hooks.rules.rule import Body, Found, Rule
from attn_jax.hooks.rules.zeros import zeros_like

if TYPE_CHECKING:
    from attn_jax.hooks.interpreter import Frame
    from attn_jax.hooks.survey import Block

Branch = Callable[..., tuple[list[Array], Found]]


def _bodies(eqn: core.JaxprEqn) -> list[Body]:
    # Branches by platform are told apart while lowering, and a rebuilt `switch` is not.
    by_platform = eqn.params.get("branches_platforms") is not None
    why = "it lies in a branch for one platform, which hooks cannot look into" * by_platform
    return [Body(jaxpr, is_branch=True, hidden=why) for jaxpr in eqn.params["branches"]]


def _run(
    frame: "Frame", eqn: core.JaxprEqn, values: Sequence[Any], blocks: Sequence["Block"]
) -> tuple[Sequence[Any], Found]:
    index, *operands = values
    branches = [
        _flagged(frame, block, jaxpr)
        for block, jaxpr in zip(blocks, eqn.params["branches"], strict=True)
    ]
    shapes: Found = {}
    for branch in branches:
        shapes |= jax.eval_shape(branch, *operands)[1]
    return lax.switch(index, [_padded(branch, shapes) for branch in branches], *operands)


def _flagged(frame: "Frame", block: "Block", jaxpr: core.ClosedJaxpr) -> Branch:
    def branch(*operands):
        outs, found = frame.evaluate(block, jaxpr, operands)
        flags = {key if key.endswith("?") else f"{key}?": jnp.array(True) for key in found}
        return outs, flags | found

    return branch


def _padded(branch: Branch, shapes: Found) -> Branch:
    """Let a branch give zeros, and flags that are False, for what the others compute."""

    def padded(*operands):
        outs, found = branch(*operands)
        return outs, jax.tree.map(zeros_like, shapes) | found

    return padded


RULES = {"cond": Rule(_bodies, _run)}

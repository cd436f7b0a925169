"""Rules of branches: `cond` and `switch` capture zeros in branches not taken, and a flag."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.extend import core

from attn_jax.hooks.frame import Frame
from attn_jax.hooks.freed import run_freed
from attn_jax.hooks.points import Block, Captured
from attn_jax.hooks.rules.rule import Rule, SubJaxpr
from attn_jax.hooks.rules.zeros import zeros_like

Branch = Callable[..., tuple[list[Array], Captured]]


def _sub_jaxprs(eqn: core.JaxprEqn) -> list[SubJaxpr]:
    # JAX chooses between branches by platform while lowering, which a rebuilt `switch` cannot do.
    by_platform = eqn.params.get("branches_platforms") is not None
    reason = "it lies in a branch for one platform, which hooks cannot look into" * by_platform
    return [SubJaxpr(jaxpr, is_branch=True, hidden=reason) for jaxpr in eqn.params["branches"]]


def _run(
    frame: Frame, eqn: core.JaxprEqn, values: Sequence[Any], blocks: Sequence[Block]
) -> tuple[Sequence[Any], Captured]:
    index, *operands = values
    branches = [
        _flagged(frame, block, jaxpr)
        for block, jaxpr in zip(blocks, eqn.params["branches"], strict=True)
    ]
    # All branches of a `switch` must return the same structure, hence what any of them captures.
    shapes: Captured = {}
    for branch in branches:
        shapes |= jax.eval_shape(branch, *operands)[1]
    return run_freed(
        lambda index, *operands: lax.switch(
            index, [_padded(branch, shapes) for branch in branches], *operands
        ),
        index,
        *operands,
    )


def _flagged(frame: Frame, block: Block, jaxpr: core.ClosedJaxpr) -> Branch:
    """Return a branch that captures a flag `name?`, which is True, beside each value."""

    def branch(*operands):
        outs, captured = frame.evaluate(block, jaxpr, operands)
        flags = {key if key.endswith("?") else f"{key}?": jnp.array(True) for key in captured}
        return outs, flags | captured

    return branch


def _padded(branch: Branch, shapes: Captured) -> Branch:
    """Return a branch that adds zeros, and flags that are False, for values of the others."""

    def padded(*operands):
        outs, captured = branch(*operands)
        return outs, jax.tree.map(zeros_like, shapes) | captured

    return padded


RULES = {"cond": Rule(_sub_jaxprs, _run)}

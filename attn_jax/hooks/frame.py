"""The context in which a rule runs an equation."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from jax import Array
from jax.extend import core

from attn_jax.hooks.plan import Plan
from attn_jax.hooks.points import Block, Captured
from attn_jax.hooks.replay import replay

Evaluator = Callable[
    [Plan, Block, core.Jaxpr | core.ClosedJaxpr, Sequence[Any], tuple[Array, ...]],
    tuple[list[Any], Captured],
]
"""Runs a jaxpr with its hook points; returns its results and the captured values."""


@dataclasses.dataclass(frozen=True)
class Frame:
    """Everything that a rule needs besides the equation and its operands.

    Attributes:
        plan: The values to read and to edit.
        jaxpr: The jaxpr that contains the equation.
        run: The interpreter's evaluator. It is handed down, as the interpreter imports the rules
            and they cannot import it.
        index: The current step of each loop around the equation.
    """

    plan: Plan
    jaxpr: core.Jaxpr
    run: Evaluator
    index: tuple[Array, ...] = ()

    def evaluate(
        self,
        block: Block,
        jaxpr: core.Jaxpr | core.ClosedJaxpr,
        values: Sequence[Any],
        *index: Array,
    ) -> tuple[list[Any], Captured]:
        """Run a jaxpr inside the equation, one loop deeper for each index given."""
        return self.run(self.plan, block, jaxpr, values, self.index + index)

    def replay(self, eqn: core.JaxprEqn, values: Sequence[Any]) -> list[Any]:
        """Run the equation unchanged."""
        operands = zip(eqn.invars, values, strict=True)
        environment = {v: value for v, value in operands if not isinstance(v, core.Literal)}
        replay(self.jaxpr, [eqn], eqn.outvars, environment)
        return [environment[v] for v in eqn.outvars]

"""What a rule says about the jaxprs inside an equation."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from jax import Array
from jax.extend import core

if TYPE_CHECKING:
    from attn_jax.hooks.interpreter import Frame
    from attn_jax.hooks.survey import Block


@dataclasses.dataclass(frozen=True)
class Loop:
    """Something around a hook point that makes many values of one.

    Attributes:
        kind: `scan` (also `lax.map` and loops of known length), `while` or `shard_map`.
        length: the number of steps or devices; None where only the running program knows.
    """

    kind: Literal["scan", "while", "shard_map"]
    length: int | None


@dataclasses.dataclass(frozen=True)
class Body:
    """A jaxpr inside an equation.

    Attributes:
        jaxpr: the jaxpr, open or closed.
        loop: the loop it is the body of.
        is_branch: whether it is one of several of which one runs.
        is_replay: whether a backward pass computes here again what a forward pass did.
        frozen: why a value inside cannot be edited, or empty.
        hidden: why a value inside cannot be seen at all, or empty.
    """

    jaxpr: core.Jaxpr | core.ClosedJaxpr
    loop: Loop | None = None
    is_branch: bool = False
    is_replay: bool = False
    frozen: str = ""
    hidden: str = ""


Found = dict[str, Any]
"""Captured values by name. Inside a `cond`, `name?` says whether `name` was computed."""


@dataclasses.dataclass(frozen=True)
class Rule:
    """How one higher-order primitive is looked into.

    Attributes:
        bodies: the jaxprs of an equation.
        run: evaluates the equation with these bodies; returns its results and what was found.
    """

    bodies: Callable[[core.JaxprEqn], Sequence[Body]]
    run: Callable[
        ["Frame", core.JaxprEqn, Sequence[Array], Sequence["Block"]],
        tuple[Sequence[Array], Found],
    ]

"""The interface of a rule: the jaxprs inside an equation, and how to run it with them."""

import dataclasses
from collections.abc import Callable, Sequence

from jax import Array
from jax.extend import core

from attn_jax.hooks.frame import Frame
from attn_jax.hooks.points import Block, Captured, Loop


@dataclasses.dataclass(frozen=True)
class SubJaxpr:
    """A jaxpr inside an equation.

    Attributes:
        jaxpr: The jaxpr, open or closed.
        loop: The loop whose body it is, if any.
        is_branch: Whether it is one of several branches, of which one runs.
        is_replay: Whether a backward pass computes here again what a forward pass did.
        frozen: The reason why a value inside cannot be edited, or an empty string.
        hidden: The reason why a value inside can be neither read nor edited, or an empty string.
    """

    jaxpr: core.Jaxpr | core.ClosedJaxpr
    loop: Loop | None = None
    is_branch: bool = False
    is_replay: bool = False
    frozen: str = ""
    hidden: str = ""


@dataclasses.dataclass(frozen=True)
class Rule:
    """The treatment of one higher-order primitive.

    Attributes:
        sub_jaxprs: Returns the jaxprs inside an equation.
        run: Evaluates an equation from its operands and the blocks of its jaxprs; returns its
            results and the captured values.
    """

    sub_jaxprs: Callable[[core.JaxprEqn], Sequence[SubJaxpr]]
    run: Callable[
        [Frame, core.JaxprEqn, Sequence[Array], Sequence[Block]],
        tuple[Sequence[Array], Captured],
    ]

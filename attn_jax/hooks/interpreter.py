"""Runs a jaxpr, and on the way reads and edits the hook points that a plan names."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
from jax import Array
from jax.extend import core

from attn_jax.hooks.names import scopes_of
from attn_jax.hooks.plan import Plan
from attn_jax.hooks.replay import replay
from attn_jax.hooks.rules import RULES
from attn_jax.hooks.rules.rule import Found
from attn_jax.hooks.rules.taps import visit
from attn_jax.hooks.survey import Block, open_jaxpr


@dataclasses.dataclass(frozen=True)
class Frame:
    """What an equation is run with.

    Attributes:
        plan: what is to be read and edited.
        jaxpr: the jaxpr that the equation stands in.
        index: for each loop around it, which step this is.
    """

    plan: Plan
    jaxpr: core.Jaxpr
    index: tuple[Array, ...] = ()

    def evaluate(
        self,
        block: Block,
        jaxpr: core.Jaxpr | core.ClosedJaxpr,
        values: Sequence[Any],
        *index: Array,
    ) -> tuple[list[Any], Found]:
        """Run a jaxpr further inside, one loop deeper for each index given."""
        return evaluate(self.plan, block, jaxpr, values, self.index + index)

    def replay(self, eqn: core.JaxprEqn, values: Sequence[Any]) -> list[Any]:
        """Run the equation as it stands."""
        known = zip(eqn.invars, values, strict=True)
        environment = {v: value for v, value in known if not isinstance(v, core.Literal)}
        replay(self.jaxpr, [eqn], eqn.outvars, environment)
        return [environment[v] for v in eqn.outvars]


def evaluate(
    plan: Plan,
    block: Block,
    jaxpr: core.Jaxpr | core.ClosedJaxpr,
    values: Sequence[Any],
    index: tuple[Array, ...] = (),
) -> tuple[list[Any], Found]:
    """Run a jaxpr; return its results, and what was found on the way.

    Equations that hold nothing of interest are replayed, whole stretches at a time.
    """
    inside = open_jaxpr(jaxpr)
    frame = Frame(plan, inside, index)
    environment = dict(zip(inside.constvars, getattr(jaxpr, "consts", ()), strict=True))
    environment.update(zip(inside.invars, values, strict=True))

    def read(atom: core.Var | core.Literal) -> Any:
        return atom.val if isinstance(atom, core.Literal) else environment[atom]

    found: Found = {}
    uses = _last_uses(inside)
    start = 0
    for i in sorted((*block.taps, *block.inner)):
        _replay_between(inside, start, i, uses, environment)
        outs, more = _step(frame, block, i, [read(v) for v in inside.eqns[i].invars])
        environment.update(zip(inside.eqns[i].outvars, outs, strict=True))
        found |= more
        start = i + 1
    _replay_between(inside, start, len(inside.eqns), uses, environment)
    return [read(v) for v in inside.outvars], found


def _last_uses(jaxpr: core.Jaxpr) -> dict[core.Var, int]:
    uses = {v: i for i, eqn in enumerate(jaxpr.eqns) for v in _variables(eqn.invars)}
    return uses | dict.fromkeys(_variables(jaxpr.outvars), len(jaxpr.eqns))


def _variables(atoms: Sequence[core.Var | core.Literal]) -> Iterator[core.Var]:
    return (atom for atom in atoms if not isinstance(atom, core.Literal))


def _replay_between(
    jaxpr: core.Jaxpr,
    start: int,
    stop: int,
    needed: Mapping[core.Var, int],
    environment: dict[core.Var, Any],
) -> None:
    eqns = jaxpr.eqns[start:stop]
    if eqns:
        outvars = [v for eqn in eqns for v in eqn.outvars if needed.get(v, -1) >= stop]
        replay(jaxpr, eqns, outvars, environment)


def _step(frame: Frame, block: Block, i: int, values: Sequence[Any]) -> tuple[Sequence[Any], Found]:
    eqn = frame.jaxpr.eqns[i]
    with _scoped(eqn):
        if i in block.taps:
            return visit(frame, block.taps[i], eqn, values)
        return RULES[eqn.primitive.name].run(frame, eqn, values, block.inner[i])


@contextlib.contextmanager
def _scoped(eqn: core.JaxprEqn) -> Iterator[None]:
    """Stand in the named scopes of an equation, so that profiles and outer hooks see them."""
    with contextlib.ExitStack() as stack:
        for scope in scopes_of(eqn):
            stack.enter_context(jax.named_scope(scope))
        yield

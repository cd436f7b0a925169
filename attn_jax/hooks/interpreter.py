"""An interpreter of jaxprs that reads and edits the hook points named in a plan."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
from jax import Array
from jax.extend import core

from attn_jax.hooks.frame import Frame
from attn_jax.hooks.names import scopes_of
from attn_jax.hooks.plan import Plan
from attn_jax.hooks.points import Block, Captured, Placement
from attn_jax.hooks.replay import replay
from attn_jax.hooks.rules import RULES
from attn_jax.hooks.rules.taps import run_tap
from attn_jax.hooks.survey import open_jaxpr


def evaluate(
    plan: Plan,
    block: Block,
    jaxpr: core.Jaxpr | core.ClosedJaxpr,
    values: Sequence[Any],
    index: tuple[Array, ...] = (),
) -> tuple[list[Any], Captured]:
    """Run a jaxpr; return its results and the captured values.

    Args:
        plan: The values to read and to edit.
        block: The hook points of the jaxpr, pruned to those of the plan.
        jaxpr: The jaxpr, open or closed.
        values: Its arguments.
        index: The current step of each loop around it.
    """
    inside = open_jaxpr(jaxpr)
    frame = Frame(plan, inside, evaluate, index)
    environment = dict(zip(inside.constvars, getattr(jaxpr, "consts", ()), strict=True))
    environment.update(zip(inside.invars, values, strict=True))

    def read(atom: core.Var | core.Literal) -> Any:
        return atom.val if isinstance(atom, core.Literal) else environment[atom]

    def place(placements: Sequence[Placement]) -> dict[core.Var, Any]:
        return {v: x for p in placements for v, x in _place(p, read)}

    captured: Captured = {}
    uses = _last_uses(inside, block)
    environment.update(place(block.placements.get(-1, ())))
    start = 0
    # Stop only at the equations with a hook point of the plan, in the order of the program. The
    # stretches between them are JAX's to evaluate, so that no primitive without jaxprs needs a
    # rule here.
    for i in sorted({*block.taps, *block.inner, *block.placements} - {-1}):
        _replay_between(inside, start, i, uses, environment)
        placements = block.placements.get(i, ())
        local = place([p for p in placements if p.is_operand])
        operands = [
            local[v] if isinstance(v, core.Var) and v in local else read(v)
            for v in inside.eqns[i].invars
        ]
        outs, entries = _run_eqn(frame, block, i, operands)
        environment.update(zip(inside.eqns[i].outvars, outs, strict=True))
        environment.update(place([p for p in placements if not p.is_operand]))
        captured |= entries
        start = i + 1
    _replay_between(inside, start, len(inside.eqns), uses, environment)
    return [read(v) for v in inside.outvars], captured


def _place(placement: Placement, read: Callable[[Any], Any]) -> Iterator[tuple[core.Var, Any]]:
    """Yield the variables of a placement with their tapped values."""
    values = [read(v) for v in placement.variables]
    with _enter(placement.scopes):
        tapped = placement.tap_call(values, [read(v) for v in placement.operands])
    return zip(placement.variables, tapped, strict=True)


def _last_uses(jaxpr: core.Jaxpr, block: Block) -> dict[core.Var, int]:
    uses = {v: i for i, eqn in enumerate(jaxpr.eqns) for v in _variables(eqn.invars)}
    for i, placements in block.placements.items():
        for placement in placements:
            for v in _variables((*placement.variables, *placement.operands)):
                uses[v] = max(uses.get(v, -1), i)
    return uses | dict.fromkeys(_variables(jaxpr.outvars), len(jaxpr.eqns))


def _variables(atoms: Sequence[core.Var | core.Literal]) -> Iterator[core.Var]:
    return (atom for atom in atoms if not isinstance(atom, core.Literal))


def _replay_between(
    jaxpr: core.Jaxpr,
    start: int,
    stop: int,
    last_uses: Mapping[core.Var, int],
    environment: dict[core.Var, Any],
) -> None:
    eqns = jaxpr.eqns[start:stop]
    if eqns:
        # Only results used after the stretch leave it; in eager mode the others are freed.
        outvars = [v for eqn in eqns for v in eqn.outvars if last_uses.get(v, -1) >= stop]
        replay(jaxpr, eqns, outvars, environment)


def _run_eqn(
    frame: Frame, block: Block, i: int, values: Sequence[Any]
) -> tuple[Sequence[Any], Captured]:
    eqn = frame.jaxpr.eqns[i]
    # A tap reads and edits at once; any other equation here has jaxprs with taps inside, and
    # its rule rebuilds it around them.
    with _enter(scopes_of(eqn)):
        if i in block.taps:
            return run_tap(frame, block.taps[i], eqn, values)
        if i not in block.inner:
            return frame.replay(eqn, values), {}
        return RULES[eqn.primitive.name].run(frame, eqn, values, block.inner[i])


@contextlib.contextmanager
def _enter(scopes: Sequence[str]) -> Iterator[None]:
    """Enter named scopes, so that profiles and outer hooks see them."""
    with contextlib.ExitStack() as stack:
        for scope in scopes:
            stack.enter_context(jax.named_scope(scope))
        yield

"""An interpreter of jaxprs that reads and edits the hook points named in a plan."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
from jax import Array
from jax.extend import core

from attn_jax.hooks.frame import Frame
from attn_jax.hooks.names import scopes_of
from attn_jax.hooks.plan import Plan
from attn_jax.hooks.points import Block, Captured
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

    captured: Captured = {}
    uses = _last_uses(inside)
    start = 0
    # Stop only at the equations with a hook point of the plan, in the order of the program. The
    # stretches between them are JAX's to evaluate, so that no primitive without jaxprs needs a
    # rule here.
    for i in sorted((*block.taps, *block.inner)):
        _replay_between(inside, start, i, uses, environment)
        outs, entries = _run_eqn(frame, block, i, [read(v) for v in inside.eqns[i].invars])
        environment.update(zip(inside.eqns[i].outvars, outs, strict=True))
        captured |= entries
        start = i + 1
    _replay_between(inside, start, len(inside.eqns), uses, environment)
    return [read(v) for v in inside.outvars], captured


def _last_uses(jaxpr: core.Jaxpr) -> dict[core.Var, int]:
    uses = {v: i for i, eqn in enumerate(jaxpr.eqns) for v in _variables(eqn.invars)}
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
    with _scopes(eqn):
        if i in block.taps:
            return run_tap(frame, block.taps[i], eqn, values)
        return RULES[eqn.primitive.name].run(frame, eqn, values, block.inner[i])


@contextlib.contextmanager
def _scopes(eqn: core.JaxprEqn) -> Iterator[None]:
    """Enter the named scopes of an equation, so that profiles and outer hooks see them."""
    with contextlib.ExitStack() as stack:
        for scope in scopes_of(eqn):
            stack.enter_context(jax.named_scope(scope))
        yield

"""Runs equations as they stand, through JAX's own evaluator."""

from collections.abc import MutableMapping, Sequence
from typing import Any

from jax.core import eval_jaxpr
from jax.extend import core


def replay(
    jaxpr: core.Jaxpr,
    eqns: Sequence[core.JaxprEqn],
    outvars: Sequence[core.Var],
    environment: MutableMapping[core.Var, Any],
) -> None:
    """Evaluate some equations of a jaxpr.

    Args:
        jaxpr: where the equations stand.
        eqns: equations that follow each other.
        outvars: which of their results are needed afterwards.
        environment: the values known so far; these results are added.
    """
    made = {v for eqn in eqns for v in eqn.outvars}
    used = dict.fromkeys(
        v for eqn in eqns for v in eqn.invars if not isinstance(v, core.Literal) and v not in made
    )
    part = _part(jaxpr, eqns, list(used), list(outvars))
    values = eval_jaxpr(part, (), *[environment[v] for v in used])
    environment.update(zip(outvars, values, strict=True))


def _part(
    jaxpr: core.Jaxpr,
    eqns: Sequence[core.JaxprEqn],
    invars: Sequence[core.Var],
    outvars: Sequence[core.Var],
) -> core.Jaxpr:
    # The evaluator never looks at effects, and those on inputs are numbered by position, so
    # that they would be wrong here. The names of arguments must be as many as these.
    debug = jaxpr.debug_info._replace(
        arg_names=("",) * len(invars), result_paths=("",) * len(outvars)
    )
    return core.Jaxpr((), invars, outvars, eqns, debug_info=debug)

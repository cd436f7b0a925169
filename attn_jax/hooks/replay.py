"""Evaluation of unchanged equations, by JAX's own evaluator."""

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
        jaxpr: The jaxpr that contains the equations.
        eqns: Consecutive equations.
        outvars: Those of their results that are needed afterwards.
        environment: The values computed so far, to which these results are added.
    """
    results = {v for eqn in eqns for v in eqn.outvars}
    operands = dict.fromkeys(
        v
        for eqn in eqns
        for v in eqn.invars
        if not isinstance(v, core.Literal) and v not in results
    )
    part = _part(jaxpr, eqns, list(operands), list(outvars))
    values = eval_jaxpr(part, (), *[environment[v] for v in operands])
    environment.update(zip(outvars, values, strict=True))


def _part(
    jaxpr: core.Jaxpr,
    eqns: Sequence[core.JaxprEqn],
    invars: Sequence[core.Var],
    outvars: Sequence[core.Var],
) -> core.Jaxpr:
    # The evaluator ignores effects, and those on inputs are numbered by position, so that they
    # would be wrong here. JAX checks that there is a debug name for each argument and result.
    debug = jaxpr.debug_info._replace(
        arg_names=("",) * len(invars), result_paths=("",) * len(outvars)
    )
    return core.Jaxpr((), invars, outvars, eqns, debug_info=debug)

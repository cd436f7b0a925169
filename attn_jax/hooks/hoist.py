"""Many runs of a function that share what does not depend on the run."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend import core

from attn_jax.hooks.replay import replay

_BUDGET = 2**29
"""The bytes that the largest values of runs made at once may take together."""

_LATER = object()
"""Stands for a value that depends on the run."""


def map_hoisted(
    fn: Callable[[Any], Any], xs: Any, *, batch_size: int | None = None, limit: int | None = None
) -> Any:
    """Map a function over the first axis, and compute what does not depend on it only once.

    The runs are vectorized, unless they are made one at a time. A model whose tenth layer is edited
    in many ways, for example, computes its first nine layers once.

    Args:
        fn: The function of one element.
        xs: A pytree of arrays.
        batch_size: How many runs are made at once; if None, as many as half a gigabyte holds.
        limit: How many are then made at once at most.

    Returns:
        Its results, stacked.
    """
    first = jax.tree.map(lambda x: x[0], xs)
    closed, shapes = jax.make_jaxpr(fn, return_shape=True)(first)
    split = _split(closed, [_LATER] * len(closed.in_avals))

    def run(x: Any) -> Any:
        return jax.tree.unflatten(jax.tree.structure(shapes), split.finish(jax.tree.leaves(x)))

    count = len(jax.tree.leaves(xs)[0])
    most = batch_size or min(limit or count, max(1, _BUDGET // split.largest))
    if most == 1:
        return jax.lax.map(run, xs)
    return jax.vmap(run)(xs) if count <= most else jax.lax.map(run, xs, batch_size=most)


class _Split(NamedTuple):
    """A jaxpr of which as much as possible is computed.

    Attributes:
        outs: Its results, `_LATER` for those that are not known yet.
        finish: Returns all results, given all arguments.
        largest: The bytes of the largest value that is not known yet.
    """

    outs: list[Any]
    finish: Callable[[Sequence[Any]], list[Any]]
    largest: int


def _split(closed: core.ClosedJaxpr, values: Sequence[Any]) -> _Split:
    jaxpr = closed.jaxpr
    known = dict(zip(jaxpr.constvars, closed.consts, strict=True))
    known |= _known(jaxpr.invars, values)
    steps: list[tuple[core.JaxprEqn, Callable[[Sequence[Any]], Sequence[Any]]]] = []
    largest = 1
    for eqn in jaxpr.eqns:
        operands = [_read(v, known) for v in eqn.invars]
        compute = functools.partial(_compute, jaxpr, eqn)
        if all(x is not _LATER for x in operands):
            known.update(zip(eqn.outvars, compute(operands), strict=True))
        elif _is_plain_jit(eqn):
            inner = _split(eqn.params["jaxpr"], operands)
            known |= _known(eqn.outvars, inner.outs)
            steps.append((eqn, inner.finish))
            largest = max(largest, inner.largest)
        else:
            steps.append((eqn, compute))
            # An equation that only has effects, as a debug print, has no results.
            largest = max([largest, *map(_bytes, eqn.outvars)])

    def finish(values: Sequence[Any]) -> list[Any]:
        environment = known | dict(zip(jaxpr.invars, values, strict=True))
        for eqn, step in steps:
            outs = step([_read(v, environment) for v in eqn.invars])
            environment.update(zip(eqn.outvars, outs, strict=True))
        return [_read(v, environment) for v in jaxpr.outvars]

    return _Split([_read(v, known) for v in jaxpr.outvars], finish, largest)


def _known(variables: Sequence[core.Var], values: Sequence[Any]) -> dict[core.Var, Any]:
    return {v: x for v, x in zip(variables, values, strict=True) if x is not _LATER}


def _read(atom: core.Var | core.Literal, environment: Mapping[core.Var, Any]) -> Any:
    return atom.val if isinstance(atom, core.Literal) else environment.get(atom, _LATER)


def _compute(jaxpr: core.Jaxpr, eqn: core.JaxprEqn, values: Sequence[Any]) -> list[Any]:
    pairs = zip(eqn.invars, values, strict=True)
    environment = {v: x for v, x in pairs if not isinstance(v, core.Literal)}
    replay(jaxpr, [eqn], eqn.outvars, environment)
    return [environment[v] for v in eqn.outvars]


def _is_plain_jit(eqn: core.JaxprEqn) -> bool:
    """Return whether a call of `jax.jit` says nothing of devices, so that it may be taken apart."""
    if eqn.primitive.name not in ("jit", "pjit"):
        return False
    specified = (*eqn.params["in_shardings"], *eqn.params["out_shardings"])
    return not any(isinstance(each, jax.sharding.Sharding) for each in specified)


def _bytes(variable: core.Var) -> int:
    aval: Any = variable.aval
    shape, dtype = getattr(aval, "shape", ()), getattr(aval, "dtype", np.dtype(np.float32))
    return int(np.prod(shape, dtype=np.int64)) * getattr(dtype, "itemsize", 8)

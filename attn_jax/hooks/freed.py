"""Calls of functions that are made anew each time, with the programs of the last ones kept."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax
import numpy as np
from jax.core import Tracer, eval_jaxpr
from jax.extend import core

# A program takes megabytes, that of a large model tens of them.
_MOST_KEPT = 8


def prepare_freed(fn: Callable[..., Any], *args: Any) -> Callable[..., Any]:
    """Return a function of arrays as a compiled one, whose program is freed in time.

    Outside of `jit` JAX compiles each loop by itself and keeps the program of the loop's body,
    megabytes that no later call finds again if the body is a new function each time. A program of
    `jit` is freed with its function. The functions of the last few programs are kept, so that a
    later call that lowers to the same program finds it compiled. Under a transformation, as an
    eager `jax.grad`, the jaxpr must be the same, rules of differentiation included.

    Args:
        fn: The function.
        *args: Arguments of the shapes that it will be called with, pytrees of arrays.

    Returns:
        The same function for such arguments.
    """
    trees = []

    def flat(*args: Any) -> list[Any]:
        leaves, tree = jax.tree.flatten(fn(*args))
        trees.append(tree)
        return leaves

    jaxpr = jax.make_jaxpr(flat)(*args)
    inside = jaxpr.jaxpr

    # Arrays that the function closes over are arguments here, so that a program that is kept
    # does not hold them.
    def evaluate(consts: Sequence[Any], *leaves: Any) -> list[Any]:
        return eval_jaxpr(inside, consts, *leaves)

    evaluate.__name__ = getattr(fn, "__name__", "evaluate")  # for profiles
    # Without `inline`: the derivatives of a call that is found again are found again too.
    own = jax.jit(evaluate)
    by_structure = functools.cache(lambda: _kept_by_structure(own, jaxpr))
    given = [*jaxpr.consts, *jax.tree.leaves(args)]
    kept = None if are_traced(given) else _kept(own, jaxpr, jax.tree.leaves(args))

    def call(*args: Any) -> Any:
        leaves = jax.tree.leaves(args)
        # The same program may come from functions with other rules of differentiation.
        run = by_structure() if kept is None or are_traced(leaves) else kept
        return jax.tree.unflatten(trees[-1], run(jaxpr.consts, *leaves))

    return call


def run_freed(fn: Callable[..., Any], *args: Any) -> Any:
    """Call a function of arrays as one compiled program, which is freed in time.

    Args:
        fn: The function, which contains loops.
        *args: Its arguments, pytrees of arrays.

    Returns:
        What the function returns.
    """
    return prepare_freed(fn, *args)(*args)


def map_freed(fn: Callable[[Any], Any], xs: Any) -> Any:
    """Map a function over the first axis, as `lax.map` does, by a program that is freed in time.

    Args:
        fn: The function.
        xs: A pytree of arrays.

    Returns:
        Its results, stacked.
    """
    return run_freed(functools.partial(jax.lax.map, fn), xs)


@dataclasses.dataclass(frozen=True)
class Lowered:
    """A jitted function, equal to others that lower to the same program.

    Attributes:
        program: The hash of the program's text; for a function that is differentiated or mapped,
            its name and the structure of its jaxpr.
        types: The types of arguments and results, which the text does not tell in full.
        run: The function.
    """

    program: Hashable
    types: str
    run: Callable[..., list[Any]] = dataclasses.field(compare=False)


def _kept(run: Any, jaxpr: core.ClosedJaxpr, leaves: Sequence[Any]) -> Callable[..., list[Any]]:
    """Return the kept function with the program of this one, or else this one."""
    text = run.lower(jaxpr.consts, *leaves).as_text()
    # Functions of the host are only numbers in the text.
    if "callback" in text or "host_transfer" in text:
        return run
    types = str((jaxpr.in_avals, jaxpr.out_avals))
    return keep(Lowered(hashlib.sha256(text.encode()).digest(), types, run))


def _kept_by_structure(run: Any, jaxpr: core.ClosedJaxpr) -> Callable[..., list[Any]]:
    """Return the kept function with the jaxpr of this one, or else this one."""
    types = str((jaxpr.in_avals, jaxpr.out_avals))
    return keep(Lowered((run.__name__, _structure(jaxpr.jaxpr)), types, run))


@functools.lru_cache(_MOST_KEPT)
def keep(lowered: Lowered) -> Callable[..., list[Any]]:
    """Return the first function with this program, which may be compiled already."""
    return lowered.run


@dataclasses.dataclass(frozen=True, eq=False)
class _Itself:
    """A value that is equal to nothing but itself."""

    value: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def _structure(jaxpr: core.Jaxpr) -> Hashable:
    """Return what jaxprs share that compute the same and have the same derivatives.

    Rules of differentiation, as all functions among the parameters, are equal only to themselves.
    """
    numbers: dict[core.Var, int] = {}

    def of_atom(atom: core.Var | core.Literal) -> Hashable:
        if isinstance(atom, core.Literal):
            return _comparable(atom.val), atom.aval
        return numbers.setdefault(atom, len(numbers)), atom.aval

    def of_atoms(atoms: Sequence[core.Var | core.Literal]) -> Hashable:
        return tuple(map(of_atom, atoms))

    eqns = tuple(
        (
            eqn.primitive.name,
            _Itself(eqn.primitive),
            of_atoms(eqn.invars),
            of_atoms(eqn.outvars),
            str(eqn.ctx),
            tuple((name, _comparable(eqn.params[name])) for name in sorted(eqn.params)),
        )
        for eqn in jaxpr.eqns
    )
    return of_atoms((*jaxpr.constvars, *jaxpr.invars)), eqns, of_atoms(jaxpr.outvars)


def _comparable(value: Any) -> Any:
    """Return something that is equal for parameters of equations that mean the same."""
    if isinstance(value, core.ClosedJaxpr):
        return _structure(value.jaxpr), *map(_Itself, value.consts)
    if isinstance(value, core.Jaxpr):
        return _structure(value)
    if isinstance(value, (tuple, list)):
        return type(value), *map(_comparable, value)
    if isinstance(value, (bool, float, np.generic, np.ndarray)) and not np.shape(value):
        # Numbers by their bits: 0.0 equals -0.0, 1 equals True, and NaN does not equal itself.
        return type(value), str(np.asarray(value).dtype), np.asarray(value).tobytes()
    return _Itself(value) if type(value).__hash__ is None else value


def are_traced(leaves: Sequence[Any]) -> bool:
    """Return whether any of some arrays is traced by JAX, and has no value yet."""
    return any(isinstance(leaf, Tracer) for leaf in leaves)

"""Finds attention in functions that nobody instrumented (experimental)."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

from jax import Array
from jax.extend import core

from attn_jax.hooks.errors import HookError
from attn_jax.hooks.plan import make_plan
from attn_jax.hooks.survey import open_jaxpr
from attn_jax.hooks.transforms import trace

# What may stand between a softmax and the product with the values: changes of layout and type,
# masks, and dropout. None of them mixes keys.
_LAYOUT = {"broadcast_in_dim", "copy", "expand_dims", "reshape", "squeeze", "transpose"}
_TYPE = {"convert_element_type", "reduce_precision"}
_VALUE = {"div", "mul", "name", "select_n", "stop_gradient", "tap"}
_BETWEEN = _LAYOUT | _TYPE | _VALUE
_BELOW_THE_LINE = _BETWEEN | {"max", "add"}

_CALLS = {"jit", "pjit", "closed_call", "core_call", "checkpoint", "remat", "remat2"}
_CALLS |= {"custom_jvp_call", "custom_vjp_call"}


def find_attention(fn: Callable[..., Any]) -> Callable[..., dict[str, Array]]:
    """Return a function that finds attention in `fn` and returns its weights. Experimental.

    It looks for a softmax, the exponential of something over its own sum, whose result goes into
    a matrix product, and reports what the softmax gave. So it sees the attention of
    `jax.nn.dot_product_attention`, Flax's Linen and NNX modules and Equinox, and most attention
    written by hand, under all that :func:`capture` can look into.

    It only reports: nothing can be edited, and a name says where the softmax stands as far as
    named scopes tell (NNX pushes none). It misses attention that never holds its weights (cuDNN,
    Pallas and other fused kernels, blockwise sums), that is normalised otherwise (sigmoid, linear
    attention, sparsemax), whose softmax is written with a reciprocal or a logarithm, or whose
    softmax and product lie in different bodies of loops or branches. It also reports a softmax
    that is no attention, if its result is multiplied with a matrix: a mixture of experts, say.
    Where a model is yours, place taps.

    Args:
        fn: any function of arrays that JAX can trace.

    Returns:
        A function with the arguments of `fn` that returns `{name: weights}`, as laid out by `fn`.

    Raises:
        HookError: if nothing is found.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> x = jnp.ones((1, 5, 2, 4))
        >>> found = find_attention(jax.nn.dot_product_attention)(x, x, x)
        >>> {name: weights.shape[-1] for name, weights in found.items()}
        {'weights': 5}
    """

    @functools.wraps(fn)
    def found(*args: Any, **kwargs: Any) -> dict[str, Array]:
        traced = trace(fn, args, kwargs, _softmaxes)
        points = list(traced.block.points())
        if not points:
            raise HookError(
                "no attention was found: no softmax goes into a matrix product. See the docstring "
                "of find_attention for what it misses; `x = tap(name, x)` names a value for sure."
            )
        return traced.run(make_plan(points, "*", {}))[1]

    return found


def _softmaxes(jaxpr: core.Jaxpr) -> dict[int, int]:
    """Return the equations that give weights which are used, each with the number of the result."""
    origins = _origins(jaxpr)
    used = {origins[v] for eqn in jaxpr.eqns for v in _multiplied(eqn) if v in origins}
    return dict(sorted(used))


def _origins(jaxpr: core.Jaxpr) -> dict[core.Var, tuple[int, int]]:
    """Return for each variable that holds weights the equation and the result they come from."""
    producers = {v: eqn for eqn in jaxpr.eqns for v in eqn.outvars}
    origins = {}
    for i, eqn in enumerate(jaxpr.eqns):
        if _is_softmax(eqn, producers):
            origins[eqn.outvars[0]] = i, 0
        elif eqn.primitive.name in _BETWEEN:
            inherited = [origins[v] for v in _variables(eqn.invars) if v in origins]
            origins |= dict.fromkeys(eqn.outvars, inherited[0]) if inherited else {}
        elif eqn.primitive.name in _CALLS:
            origins |= _origins_of_call(i, eqn, origins)
    return origins


def _origins_of_call(
    i: int, eqn: core.JaxprEqn, origins: dict[core.Var, tuple[int, int]]
) -> dict[core.Var, tuple[int, int]]:
    """Follow weights through a call: made inside of it, or passed through, as by a dropout."""
    body = _body(eqn)
    made = _origins(body)
    passed = {
        inner: origins[outer]
        for inner, outer in zip(body.invars, eqn.invars, strict=True)
        if not isinstance(outer, core.Literal) and outer in origins
    }
    for inside in body.eqns:
        if inside.primitive.name in _BETWEEN:
            inherited = [passed[v] for v in _variables(inside.invars) if v in passed]
            passed |= dict.fromkeys(inside.outvars, inherited[0]) if inherited else {}
    results = zip(eqn.outvars, body.outvars, strict=True)
    return {
        outer: passed.get(inner, (i, k))
        for k, (outer, inner) in enumerate(results)
        if not isinstance(inner, core.Literal) and (inner in made or inner in passed)
    }


def _is_softmax(eqn: core.JaxprEqn, producers: dict[core.Var, core.JaxprEqn]) -> bool:
    """Whether an equation divides an exponential by its own sum."""
    if eqn.primitive.name != "div" or any(isinstance(v, core.Literal) for v in eqn.invars):
        return False
    above, below = eqn.invars
    exponentials = set(_sources(above, "exp", producers))
    sums = _sources(below, "reduce_sum", producers)
    return any(exponentials & set(_sources(v, "exp", producers)) for v in sums)


def _sources(
    variable: Any, primitive: str, producers: dict[core.Var, core.JaxprEqn]
) -> Iterator[Any]:
    """Yield what certain equations gave or, for a sum, took, of which a variable is a form."""
    if isinstance(variable, core.Literal) or variable not in producers:
        return
    eqn = producers[variable]
    if eqn.primitive.name == primitive:
        yield eqn.invars[0] if primitive == "reduce_sum" else variable
    elif eqn.primitive.name in _BELOW_THE_LINE:
        for v in eqn.invars:
            yield from _sources(v, primitive, producers)


def _multiplied(eqn: core.JaxprEqn) -> list[core.Var]:
    """Return the variables that go into a matrix product, in this equation or inside a call."""
    if eqn.primitive.name == "dot_general":
        return _variables(eqn.invars)
    if eqn.primitive.name not in _CALLS:
        return []
    body = _body(eqn)
    used = {v for inside in body.eqns for v in _multiplied(inside)}
    for inside in reversed(body.eqns):
        if inside.primitive.name in _BETWEEN and used.intersection(inside.outvars):
            used.update(_variables(inside.invars))
    pairs = zip(eqn.invars, body.invars, strict=True)
    return [v for v, inner in pairs if inner in used and not isinstance(v, core.Literal)]


def _variables(atoms: Any) -> list[core.Var]:
    return [atom for atom in atoms if not isinstance(atom, core.Literal)]


def _body(eqn: core.JaxprEqn) -> core.Jaxpr:
    kinds = core.Jaxpr | core.ClosedJaxpr
    return open_jaxpr(next(v for v in eqn.params.values() if isinstance(v, kinds)))

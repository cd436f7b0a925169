"""Detection of attention in functions without taps (experimental)."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

from jax import Array
from jax.extend import core

from attn_jax.hooks.patterns import HookError
from attn_jax.hooks.plan import make_plan
from attn_jax.hooks.survey import open_jaxpr
from attn_jax.hooks.transforms import trace

# The primitives allowed between a softmax and the product with the values: changes of layout and
# type, masks, and dropout. None of them mixes keys.
_LAYOUT = {"broadcast_in_dim", "copy", "expand_dims", "reshape", "squeeze", "transpose"}
_TYPE = {"convert_element_type", "reduce_precision"}
_VALUE = {"div", "mul", "name", "select_n", "stop_gradient", "tap"}
_BETWEEN = _LAYOUT | _TYPE | _VALUE
_IN_DENOMINATOR = _BETWEEN | {"max", "add"}

_CALLS = {"jit", "pjit", "closed_call", "core_call", "checkpoint", "remat", "remat2"}
_CALLS |= {"custom_jvp_call", "custom_vjp_call"}


def find_attention(fn: Callable[..., Any]) -> Callable[..., dict[str, Array]]:
    """Return a function that finds attention in `fn` and returns its weights. Experimental.

    It looks for a softmax, the exponential of something over its own sum, whose result goes into
    a matrix product, and reports the result of the softmax. So it sees the attention of
    `jax.nn.dot_product_attention`, Flax's Linen and NNX modules and Equinox, and most attention
    written by hand, under all transformations that :func:`capture` can look into.

    It only reports: nothing can be edited, and a name says where the softmax stands as far as
    there are named scopes (NNX pushes none). It misses attention that never holds its weights
    (cuDNN, Pallas and other fused kernels, blockwise sums), attention with another normalizer
    (sigmoid, linear attention, sparsemax), a softmax written with a reciprocal or a logarithm,
    and a softmax and product in different bodies of loops or branches. It also reports a softmax
    outside attention if its result is multiplied by a matrix, as in a mixture of experts. In a
    model of your own, place taps.

    Args:
        fn: Any function of arrays that JAX can trace.

    Returns:
        A function with the arguments of `fn` that returns `{name: weights}`, in the layout of
        `fn`.

    Raises:
        HookError: If no attention is found.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> x = jnp.ones((1, 5, 2, 4))
        >>> captured = find_attention(jax.nn.dot_product_attention)(x, x, x)
        >>> {name: weights.shape[-1] for name, weights in captured.items()}
        {'weights': 5}
    """

    @functools.wraps(fn)
    def finding(*args: Any, **kwargs: Any) -> dict[str, Array]:
        traced = trace(fn, args, kwargs, _softmaxes)
        points = list(traced.block.points())
        if not points:
            raise HookError(
                "no attention was found: no softmax goes into a matrix product. The docstring of "
                "find_attention says what it misses; `x = tap(name, x)` names any value."
            )
        return traced.run(make_plan(points, {"*": None}, {}))[1]

    return finding


def _softmaxes(jaxpr: core.Jaxpr) -> dict[int, int]:
    """Return the number of each equation that computes weights, and the position of the result."""
    origins = _origins(jaxpr)
    weights = {origins[v] for eqn in jaxpr.eqns for v in _multiplied(eqn) if v in origins}
    return dict(sorted(weights))


def _origins(jaxpr: core.Jaxpr) -> dict[core.Var, tuple[int, int]]:
    """Return the equation and the result that each variable with weights comes from."""
    producers = {v: eqn for eqn in jaxpr.eqns for v in eqn.outvars}
    origins = {}
    for i, eqn in enumerate(jaxpr.eqns):
        if _is_softmax(eqn, producers):
            origins[eqn.outvars[0]] = i, 0
        elif eqn.primitive.name in _BETWEEN:
            inherited = [origins[v] for v in _variables(eqn.invars) if v in origins]
            # Weights remain the same weights when they are cast, transposed or masked.
            origins |= dict.fromkeys(eqn.outvars, inherited[0]) if inherited else {}
        elif eqn.primitive.name in _CALLS:
            origins |= _origins_of_call(i, eqn, origins)
    return origins


def _origins_of_call(
    i: int, eqn: core.JaxprEqn, origins: dict[core.Var, tuple[int, int]]
) -> dict[core.Var, tuple[int, int]]:
    """Follow weights through a call: computed inside it, or passed through, as by dropout."""
    body = _only_jaxpr(eqn)
    computed = _origins(body)
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
        if not isinstance(inner, core.Literal) and (inner in computed or inner in passed)
    }


def _is_softmax(eqn: core.JaxprEqn, producers: dict[core.Var, core.JaxprEqn]) -> bool:
    """Whether an equation divides an exponential by its own sum."""
    if eqn.primitive.name != "div" or any(isinstance(v, core.Literal) for v in eqn.invars):
        return False
    numerator, denominator = eqn.invars
    exponentials = set(_sources(numerator, "exp", producers))
    sums = _sources(denominator, "reduce_sum", producers)
    return any(exponentials & set(_sources(v, "exp", producers)) for v in sums)


def _sources(
    variable: Any, primitive: str, producers: dict[core.Var, core.JaxprEqn]
) -> Iterator[Any]:
    """Yield the results of `exp`, or the operands of `reduce_sum`, that a variable comes from."""
    if isinstance(variable, core.Literal) or variable not in producers:
        return
    eqn = producers[variable]
    if eqn.primitive.name == primitive:
        yield eqn.invars[0] if primitive == "reduce_sum" else variable
    elif eqn.primitive.name in _IN_DENOMINATOR:
        for v in eqn.invars:
            yield from _sources(v, primitive, producers)


def _multiplied(eqn: core.JaxprEqn) -> list[core.Var]:
    """Return the variables that go into a matrix product, in this equation or inside a call."""
    if eqn.primitive.name == "dot_general":
        return _variables(eqn.invars)
    if eqn.primitive.name not in _CALLS:
        return []
    body = _only_jaxpr(eqn)
    factors = {v for inside in body.eqns for v in _multiplied(inside)}
    # Backwards, so that a variable counts too if only a cast or reshaped copy is multiplied.
    for inside in reversed(body.eqns):
        if inside.primitive.name in _BETWEEN and factors.intersection(inside.outvars):
            factors.update(_variables(inside.invars))
    pairs = zip(eqn.invars, body.invars, strict=True)
    return [v for v, inner in pairs if inner in factors and not isinstance(v, core.Literal)]


def _variables(atoms: Any) -> list[core.Var]:
    return [atom for atom in atoms if not isinstance(atom, core.Literal)]


def _only_jaxpr(eqn: core.JaxprEqn) -> core.Jaxpr:
    kinds = core.Jaxpr | core.ClosedJaxpr
    return open_jaxpr(next(v for v in eqn.params.values() if isinstance(v, kinds)))

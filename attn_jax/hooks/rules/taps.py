"""What happens at one tap: edits first, then the value goes on, then it is read."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.extend import core

from attn_jax.hooks.errors import HookError
from attn_jax.hooks.plan import Edit, Reducer, Request, Site, describe
from attn_jax.hooks.reducers import SiteReducer
from attn_jax.hooks.rules.rule import Found
from attn_jax.hooks.survey import HookPoint, ResultPoint
from attn_jax.hooks.tap import DerivedTap, tap_p

if TYPE_CHECKING:
    from attn_jax.hooks.interpreter import Frame


def visit(
    frame: "Frame", points: Sequence[HookPoint], eqn: core.JaxprEqn, values: Sequence[Array]
) -> tuple[list[Array], Found]:
    """Run a tap; return what flows on from it, and what was found."""
    if isinstance(points[0], ResultPoint):
        return _result(frame, points[0], eqn, values)
    value, *operands = values
    if eqn.params["site"] is None:
        return _plain(frame, points[0], eqn, value)
    named = dict(zip(eqn.params["operands"], operands, strict=True))
    return _derived(frame, points, eqn, value, named)


def _result(
    frame: "Frame", point: ResultPoint, eqn: core.JaxprEqn, values: Sequence[Array]
) -> tuple[list[Array], Found]:
    outs = frame.replay(eqn, values)
    return outs, _read(frame, point, _reading(outs[point.position]))


def _plain(
    frame: "Frame", point: HookPoint, eqn: core.JaxprEqn, value: Array
) -> tuple[list[Array], Found]:
    # The tap is placed anew, so that hooks around these hooks find it too.
    value = tap_p.bind(_edited(frame, point, value), **eqn.params)
    return [value], _read(frame, point, _reading(value))


def _derived(
    frame: "Frame",
    points: Sequence[HookPoint],
    eqn: core.JaxprEqn,
    value: Array,
    operands: dict[str, Array],
) -> tuple[list[Array], Found]:
    site: DerivedTap = eqn.params["site"]
    last = site.leaves[-1]
    operands[last] = value
    leaves = dict(zip(site.leaves, points, strict=True))
    for leaf, point in leaves.items():
        if point.name in frame.plan.edits:
            edited = _edited(frame, point, site.derive(leaf, operands))
            operands = site.rewrite(leaf, edited, operands)
    value = site.derive(last, operands)
    rest = {name: operand for name, operand in operands.items() if name != last}
    value = tap_p.bind(value, *rest.values(), **eqn.params | {"operands": tuple(rest)})
    return [value], _read_leaves(frame, site, leaves, rest | {last: value})


def _read_leaves(
    frame: "Frame",
    site: DerivedTap,
    leaves: Mapping[str, HookPoint],
    operands: Mapping[str, Array],
) -> Found:
    if not any(point.name in frame.plan.requests for point in leaves.values()):
        return {}
    # Without the barrier XLA may merge what is derived with the call itself, and then compute
    # the call differently because somebody is looking.
    operands = lax.optimization_barrier(dict(operands))

    def reading(leaf: str) -> Callable[[Reducer | None], Any]:
        def read(reduce: Reducer | None) -> Any:
            if isinstance(reduce, SiteReducer):
                return reduce.of_derived(site, leaf, operands)
            value = site.derive(leaf, operands)
            return value if reduce is None else reduce(value)

        return read

    found: Found = {}
    for leaf, point in leaves.items():
        found |= _read(frame, point, reading(leaf))
    return found


def _edited(frame: "Frame", point: HookPoint, value: Array) -> Array:
    for edit in frame.plan.edits.get(point.name, ()):
        new = _call_edit(edit, point, value, frame.index)
        value = _select(edit.at, frame.index, new, value)
    return value


def _call_edit(edit: Edit, point: HookPoint, value: Array, index: tuple[Array, ...]) -> Array:
    given = describe(value)
    try:
        new = edit.function(value, Site(edit.name, index, point))
    except Exception as error:
        raise HookError(f"the edit at {edit.name!r} failed, given {given}: {error}") from error
    new = new if isinstance(new, jax.Array) else jnp.asarray(new)
    if (new.shape, new.dtype) != (value.shape, value.dtype):
        raise HookError(
            f"the edit at {edit.name!r} must keep shape and dtype: it was given {given} and "
            f"returned {describe(new)}; jnp.broadcast_to(…, value.shape).astype(value.dtype) does."
        )
    return new


def _select(at: Sequence[int | None], index: Sequence[Array], new: Array, old: Array) -> Array:
    """Take the new value at the chosen steps of the loops around, and the old one elsewhere."""
    for step, chosen in zip(index, at, strict=True):
        new = new if chosen is None else lax.select(step == chosen, new, old)
    return new


def _reading(value: Array) -> Callable[[Reducer | None], Any]:
    return lambda reduce: value if reduce is None else reduce(value)


def _read(frame: "Frame", point: HookPoint, read: Callable[[Reducer | None], Any]) -> Found:
    requests = frame.plan.requests.get(point.name, ())
    return {request.key: _reduced(request, point, read) for request in requests}


def _reduced(request: Request, point: HookPoint, read: Callable[[Reducer | None], Any]) -> Any:
    if request.reduce is None:
        return read(None)
    try:
        return read(request.reduce)
    except Exception as error:
        given = f"{point.dtype}{list(point.shape)}"
        raise HookError(
            f"the reducer for {request.key!r} failed, given {given}: {error}"
        ) from error

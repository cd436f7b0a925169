"""The rule of the tap: edit the value, pass it on, then read it."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.extend import core

from attn_jax.hooks.frame import Frame
from attn_jax.hooks.layout import Layout
from attn_jax.hooks.patterns import HookError, Selection
from attn_jax.hooks.plan import Edit, Reducer, Request, Site, describe
from attn_jax.hooks.points import Captured, HookPoint
from attn_jax.hooks.reducers import SiteReducer
from attn_jax.hooks.tap import DerivedTap, tap_p, visible_pairs

Reader = Callable[[Reducer | None], Any]
"""Returns the value of a hook point, as it is or through a reducer."""


def run_tap(
    frame: Frame, points: Sequence[HookPoint], eqn: core.JaxprEqn, values: Sequence[Array]
) -> tuple[list[Array], Captured]:
    """Run a tap; return the value that flows on from it, and the captured values."""
    value, *operands = values
    if eqn.params["derived"] is None:
        return _run_plain(frame, points[0], eqn, value)
    by_name = dict(zip(eqn.params["operands"], operands, strict=True))
    return _run_derived(frame, points, eqn, value, by_name)


def _run_plain(
    frame: Frame, point: HookPoint, eqn: core.JaxprEqn, value: Array
) -> tuple[list[Array], Captured]:
    layout = eqn.params["layout"]
    if point.name in frame.plan.edits:
        shown = _apply_edits(frame, point, layout.present(value) if layout else value)
        value = layout.restore(shown, value) if layout else shown
    # The tap is bound again, so that hooks around these hooks find it too.
    value = tap_p.bind(value, **eqn.params)
    return [value], _capture(frame, point, _reader(value, layout))


def _run_derived(
    frame: Frame,
    points: Sequence[HookPoint],
    eqn: core.JaxprEqn,
    value: Array,
    operands: dict[str, Array],
) -> tuple[list[Array], Captured]:
    derived: DerivedTap = eqn.params["derived"]
    last = derived.leaves[-1]
    operands[last] = value
    leaves = dict(zip(derived.leaves, points, strict=True))
    # Upstream leaves are edited first: the rewritten operands lack all that depends on them, so
    # that a leaf further down is derived from the edited ones.
    for leaf, point in leaves.items():
        if point.name in frame.plan.edits:
            visible = functools.partial(visible_pairs, derived, operands)
            edited = _apply_edits(frame, point, derived.derive(leaf, operands), visible)
            operands = derived.rewrite(leaf, edited, operands)
    # Without edits the tapped value is still among the operands, and this returns it unchanged.
    value = derived.derive(last, operands)
    upstream = {name: operand for name, operand in operands.items() if name != last}
    value = tap_p.bind(value, *upstream.values(), **eqn.params | {"operands": tuple(upstream)})
    return [value], _capture_leaves(frame, derived, leaves, upstream | {last: value})


def _capture_leaves(
    frame: Frame,
    derived: DerivedTap,
    leaves: Mapping[str, HookPoint],
    operands: Mapping[str, Array],
) -> Captured:
    if not any(point.name in frame.plan.requests for point in leaves.values()):
        return {}
    # Without the barrier XLA may merge the derived values with the call itself, which would then
    # compute other bits because somebody is looking.
    operands = lax.optimization_barrier(dict(operands))

    def reader(leaf: str) -> Reader:
        def read(reduce: Reducer | None) -> Any:
            if isinstance(reduce, SiteReducer):
                return reduce.of_derived(derived, leaf, operands)
            value = derived.derive(leaf, operands)
            return value if reduce is None else reduce(value)

        return read

    captured: Captured = {}
    for leaf, point in leaves.items():
        captured |= _capture(frame, point, reader(leaf))
    return captured


def _apply_edits(
    frame: Frame, point: HookPoint, value: Array, visible: Callable[[], Array | None] = lambda: None
) -> Array:
    for edit in frame.plan.edits.get(point.name, ()):
        new = _call_edit(edit, value, Site(edit.name, frame.index, point, visible))
        value = _select(edit.selection, frame.index, new, value)
    return value


def _call_edit(edit: Edit, value: Array, site: Site) -> Array:
    try:
        new = edit.function(value, site)
    except Exception as error:
        raise HookError(
            f"the edit at {edit.name!r} failed, given {describe(value)}: {error}"
        ) from error
    new = new if isinstance(new, jax.Array) else jnp.asarray(new)
    if (new.shape, new.dtype) != (value.shape, value.dtype):
        raise HookError(
            f"the edit at {edit.name!r} must keep shape and dtype: it was given {describe(value)} "
            f"and returned {describe(new)}; "
            "return jnp.broadcast_to(new, value.shape).astype(value.dtype)."
        )
    return new


def _select(selection: Selection, index: Sequence[Array], new: Array, old: Array) -> Array:
    """Take the new value at the selected steps of the loops around, and the old one elsewhere."""
    for step, selected in zip(index, selection, strict=True):
        new = new if selected is None else lax.select(step == selected, new, old)
    return new


def _reader(value: Array, layout: Layout | None) -> Reader:
    def read(reduce: Reducer | None) -> Any:
        shown = layout.present(value) if layout else value
        return shown if reduce is None else reduce(shown)

    return read


def _capture(frame: Frame, point: HookPoint, read: Reader) -> Captured:
    requests = frame.plan.requests.get(point.name, ())
    return {request.key: _read(request, point, read) for request in requests}


def _read(request: Request, point: HookPoint, read: Reader) -> Any:
    if request.reduce is None:
        return read(None)
    try:
        return read(request.reduce)
    except Exception as error:
        raise HookError(
            f"the reducer for {request.key!r} failed, "
            f"given {point.dtype}{list(point.shape)}: {error}"
        ) from error

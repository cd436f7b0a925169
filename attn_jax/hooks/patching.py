"""Edits that put values from elsewhere in place of those computed."""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from attn_jax.hooks.errors import HookError
from attn_jax.hooks.plan import EditFunction, Site

Which = int | Sequence[int] | slice | Array
"""Which of several: a number, several, a slice, or a traced number, over which one may vmap."""

# The axes of the heads and of the positions, from the right.
_HEADS_QUERIES_KEYS = (-3, -2)
_TOKENS_HEADS_FEATURES = (-2, -3)
_AXES: dict[str, tuple[int, int]] = dict.fromkeys(
    ("query", "key", "value", "context"), _TOKENS_HEADS_FEATURES
)


def patch(
    values: ArrayLike | Mapping[str, Array],
    *,
    layers: Which | None = None,
    heads: Which | None = None,
    positions: Which | None = None,
    head_axis: int | None = None,
    position_axis: int | None = None,
) -> EditFunction:
    """Return an edit that replaces values, or a part of them, by given ones.

    Args:
        values: what to put in: what :func:`capture` returned for another input, from which each
            hook point takes the entry of its name; or one array, or a number, for all of them.
            Stacks of a scanned loop are taken apart by themselves.
        layers: which layers to edit, all if None. A layer's number is the first in its name.
        heads: which heads to edit, all if None. Where it is traced one may `vmap` over it.
        positions: which queries, or tokens, to edit, all if None.
        head_axis: the axis of the heads; if None -2 for `query`, `key`, `value` and `context`,
            `(*b, tokens, heads, features)`, and -3 for all else, as `(*b, heads, queries, keys)`.
        position_axis: the axis of the positions; if None -3 and -2, likewise. Without an axis of
            heads, `(*b, tokens, features)`, set it to -2.

    Returns:
        An edit for :func:`intervene`.

    Raises:
        HookError: when the edit runs, if it has no value for a hook point, if shapes do not fit,
            or if there is no such layer, head or position.

    Example:
        >>> from attn_jax.hooks import capture, intervene, tap
        >>> def double(x):
        ...     return 2 * tap("weights", x)
        >>> _, donor = capture(double, "weights")(jnp.ones((2, 3)))
        >>> intervene(double, {"weights": patch(donor, positions=0)})(jnp.zeros((2, 3)))
        Array([[2., 2., 2.],
               [0., 0., 0.]], dtype=float32)
    """

    def edit(value: Array, site: Site) -> Array:
        head, position = _AXES.get(_leaf(site), _HEADS_QUERIES_KEYS)
        new = _value_for(site, values, value)
        if heads is not None:
            axis = head if head_axis is None else head_axis
            new = jnp.where(_along("heads", heads, value, axis), new, value)
        if positions is not None:
            axis = position if position_axis is None else position_axis
            new = jnp.where(_along("positions", positions, value, axis), new, value)
        if layers is not None:
            new = jnp.where(_contains(layers, _layer(site)), new, value)
        return new

    return edit


def _leaf(site: Site) -> str:
    return site.name.rpartition(".")[2].partition("#")[0]


def _value_for(site: Site, values: ArrayLike | Mapping[str, Array], old: Array) -> Array:
    """Return the replacement of one value, of its shape and dtype."""
    name, new = _entry(site, values) if isinstance(values, Mapping) else (site.name, values)
    steps, new = _open_steps(site, name), jnp.asarray(new)
    if steps and new.ndim == old.ndim + len(steps):
        new = new[steps]
    try:
        return jnp.broadcast_to(new, old.shape).astype(old.dtype)
    except ValueError:
        raise HookError(
            f"a value of shape {list(new.shape)} does not fit the shape {list(old.shape)} of "
            f"{site.name!r}"
        ) from None


def _entry(site: Site, values: Mapping[str, Array]) -> tuple[str, Array]:
    for name in (site.name, site.point.name):
        if name in values:
            return name, values[name]
    raise HookError(f"there is no value for {site.name!r} among {', '.join(values) or 'nothing'}")


def _open_steps(site: Site, name: str) -> tuple[Array, ...]:
    """Return the indices into what capture returns under a name: those not written out in it."""
    parts = zip(site.point.name.split("."), name.split("."), strict=True)
    open_scans = iter([given == "*" for part, given in parts if part == "*"])
    pairs = zip(site.index, site.point.loops, strict=True)
    # A while loop has no axis; shard_map has one, which is not written in the name.
    return tuple(
        step
        for step, loop in pairs
        if loop.kind == "shard_map" or (loop.kind == "scan" and next(open_scans))
    )


def _layer(site: Site) -> Array | int:
    """Return the first number in a name, which may be the step of a scan."""
    pairs = zip(site.index, site.point.loops, strict=True)
    scans = (step for step, loop in pairs if loop.kind == "scan")
    for part in site.point.name.split("."):
        if part == "*":
            return next(scans)
        if part.isdecimal():
            return int(part)
    raise HookError(f"{site.name!r} has no number of a layer in its name")


def _along(what: str, which: Which, value: Array, axis: int) -> Array:
    """Return a mask of the chosen ones along an axis, which broadcasts with the value."""
    if value.ndim < -axis:
        raise HookError(f"a value of shape {list(value.shape)} has no axis {axis} of {what}")
    size = value.shape[axis]
    _check_range(what, which, size)
    shape = [1] * value.ndim
    shape[axis] = size
    numbers = jnp.arange(size)
    if isinstance(which, slice):
        return jnp.zeros(size, bool).at[which].set(True).reshape(shape)
    which = jnp.asarray(which)
    return _contains(jnp.where(which < 0, which + size, which), numbers).reshape(shape)


def _contains(which: Which, number: ArrayLike) -> Array:
    if isinstance(which, slice):
        start, stop, step = which.start or 0, which.stop, which.step or 1
        number = jnp.asarray(number)
        above = (number >= start) & ((number - start) % step == 0)
        return above if stop is None else above & (number < stop)
    return jnp.isin(number, jnp.asarray(which))


def _check_range(what: str, which: Which, size: int) -> None:
    if isinstance(which, slice | Array):
        return
    for number in [which] if isinstance(which, int) else which:
        if isinstance(number, int) and not -size <= number < size:
            raise HookError(f"{what}={number} is out of range; there are {size}")

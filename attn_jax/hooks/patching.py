"""Edits that replace computed values by values from elsewhere."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer
from jax.typing import ArrayLike

from attn_jax.hooks.patterns import HookError
from attn_jax.hooks.plan import EditFunction, Site
from attn_jax.hooks.points import HookPoint

Which = int | np.integer | Sequence[int] | np.ndarray | slice | Array
"""A selection of layers, heads or positions: a number, several, a slice, or a traced number."""

Values = ArrayLike | Mapping[str, ArrayLike] | EditFunction
"""The replacements for some values."""

# The axes of the heads and of the positions, from the right.
_HEADS_QUERIES_KEYS = (-3, -2)
_TOKENS_HEADS_FEATURES = (-2, -3)
_AXES: dict[str, tuple[int, int]] = dict.fromkeys(
    ("query", "key", "value", "context", "head_output"), _TOKENS_HEADS_FEATURES
)


def patch(
    values: Values,
    *,
    layers: Which | None = None,
    heads: Which | None = None,
    positions: Which | None = None,
    head_axis: int | None = None,
    position_axis: int | None = None,
) -> EditFunction:
    """Return an edit that replaces values, or parts of them, by the given ones.

    Args:
        values: The replacements: a dictionary that :func:`capture` returned for another input,
            from which each hook point takes the entry of its name; one array, or a number, for all
            hook points; or an edit, a function of the value and its site, which is then done in the
            selected parts alone. Stacks of a scanned loop are taken apart.
        layers: The layers to edit, all if None, counted from 0. The number of a layer is the
            first one in the name of its hook point.
        heads: The heads to edit, all if None. Pass a traced number to `vmap` over heads.
        positions: The queries, or tokens, to edit, all if None.
        head_axis: The axis of the heads; if None -2 for `query`, `key`, `value`, `context` and
            `head_output`, `(*b, tokens, heads, features)`, and -3 for all others, as `(*b, heads,
            queries, keys)`.
        position_axis: The axis of the positions; if None -3 and -2, likewise. For values without
            an axis of heads, `(*b, tokens, features)`, set it to -2.

    Returns:
        An edit for :func:`intervene`.

    Raises:
        HookError: If `layers` counts from the end. When the edit runs: if it has no value for a
            hook point, if shapes do not fit, if a float would replace an integer, if there is no
            such layer, head or position, or if a name has no layer.

    Example:
        >>> from attn_jax.hooks import capture, intervene, tap
        >>> def double(x):
        ...     return 2 * tap("weights", x)
        >>> _, donor = capture(double, "weights")(jnp.ones((2, 3)))
        >>> intervene(double, {"weights": patch(donor, positions=0)})(jnp.zeros((2, 3)))
        Array([[2., 2., 2.],
               [0., 0., 0.]], dtype=float32)
    """
    _check_layers(layers)

    def edit(value: Array, site: Site) -> Array:
        new = _replacement(site, values, value)
        if heads is not None:
            axis = axis_of(site.point, "head") if head_axis is None else head_axis
            new = jnp.where(_mask_along("heads", heads, value, axis), new, value)
        if positions is not None:
            axis = axis_of(site.point, "query") if position_axis is None else position_axis
            new = jnp.where(_mask_along("positions", positions, value, axis), new, value)
        if layers is not None:
            new = jnp.where(_contains(layers, _layer(site)), new, value)
        return new

    return edit if layers is None else _LayerPatch(edit, layers)


@dataclasses.dataclass(frozen=True)
class _LayerPatch:
    """An edit of some layers, which can only be looked for once all hook points are known."""

    edit: EditFunction
    layers: Which

    def __call__(self, value: Array, site: Site) -> Array:
        return self.edit(value, site)

    def check_points(self, names: Collection[str]) -> None:
        """Refuse layers that no hook point has; they are the first numbers in the names."""
        numbers = {int(parts[0]) for name in names if (parts := _numbers_in(name))}
        if isinstance(self.layers, slice):
            is_missing = not any(_contains(self.layers, number) for number in numbers)
        else:
            is_missing = not numbers.issuperset(_known_numbers(self.layers))
        if numbers and is_missing:
            raise HookError(
                f"layers={self.layers} selects a layer that is in none of the hook points to edit; "
                f"their layers are {', '.join(map(str, sorted(numbers)))}."
            )


def _numbers_in(name: str) -> list[str]:
    return [part for part in name.split(".") if part.isdecimal()]


def axis_of(point: HookPoint, role: str) -> int:
    """Return the axis of the heads or of the queries, counted from the end.

    Args:
        point: The hook point of a value that has such an axis.
        role: `head` or `query`, which stands for positions.

    Raises:
        HookError: If the program does not tell.
    """
    axes = point.axes
    if not axes:
        leaf = point.name.rpartition(".")[2].partition("#")[0]
        return _AXES.get(leaf, _HEADS_QUERIES_KEYS)[role == "query"]
    if role not in axes:
        option = "head_axis" if role == "head" else "position_axis"
        raise HookError(
            f"the program does not tell which axis of {point.name!r}, of shape "
            f"{list(point.shape)}, is that of the {role}s: its axes are {', '.join(axes)}. "
            f"Pass {option}=..., counted from the end."
        )
    return axes.index(role) - len(axes)


def _replacement(site: Site, values: Values, old: Array) -> Array:
    """Return the replacement of one value, in its shape and dtype."""
    if callable(values):
        values = values(old, site)
    name, new = _entry(site, values) if isinstance(values, Mapping) else (site.name, values)
    steps, new = _stacked_steps(site, name), jnp.asarray(new)
    if steps and new.ndim == old.ndim + len(steps):
        new = new[steps]
    # A float replaces a float of another precision, but would lose its fraction as an integer.
    if jnp.issubdtype(new.dtype, jnp.inexact) and not jnp.issubdtype(old.dtype, jnp.inexact):
        raise HookError(
            f"a value of dtype {new.dtype} does not fit the dtype {old.dtype} of {site.name!r}; "
            "round it and convert it first."
        )
    try:
        return jnp.broadcast_to(new, old.shape).astype(old.dtype)
    except ValueError:
        raise HookError(
            f"a value of shape {list(new.shape)} does not fit the shape {list(old.shape)} of "
            f"{site.name!r}"
        ) from None


def _entry(site: Site, values: Mapping[str, ArrayLike]) -> tuple[str, ArrayLike]:
    for name in (site.name, site.point.name):
        if name in values:
            return name, values[name]
    raise HookError(f"there is no value for {site.name!r} among {', '.join(values) or 'nothing'}")


def _stacked_steps(site: Site, name: str) -> tuple[Array, ...]:
    """Return the index into the stack captured under a name: the steps not written out in it."""
    parts = zip(site.point.name.split("."), name.split("."), strict=True)
    is_stacked = iter([part == "*" for point_part, part in parts if point_part == "*"])
    pairs = zip(site.index, site.point.loops, strict=True)
    # A while loop has no axis; shard_map has one, which is not written in the name.
    return tuple(
        step
        for step, loop in pairs
        if loop.kind == "shard_map" or (loop.kind == "scan" and next(is_stacked))
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


def _mask_along(kind: str, which: Which, value: Array, axis: int) -> Array:
    """Return a mask of the selected heads or positions, which broadcasts with the value."""
    if value.ndim < -axis:
        raise HookError(f"a value of shape {list(value.shape)} has no axis {axis} of {kind}")
    size = value.shape[axis]
    shape = [1] * value.ndim
    shape[axis] = size
    if isinstance(which, slice):
        return jnp.zeros(size, bool).at[which].set(True).reshape(shape)
    _check_numbers(kind, which, size)
    which = jnp.asarray(which)
    return _contains(jnp.where(which < 0, which + size, which), jnp.arange(size)).reshape(shape)


def _contains(which: Which, number: ArrayLike) -> Array:
    if isinstance(which, slice):
        start, stop, step = which.start or 0, which.stop, which.step or 1
        number = jnp.asarray(number)
        is_after = (number >= start) & ((number - start) % step == 0)
        return is_after if stop is None else is_after & (number < stop)
    return jnp.isin(number, jnp.asarray(which))


def _check_layers(layers: Which | None) -> None:
    # An edit sees one layer at a time and does not know how many there are.
    ends = [layers.start, layers.stop, layers.step] if isinstance(layers, slice) else layers
    negative = [number for number in _known_numbers(ends) if number < 0]
    if negative:
        raise HookError(f"layers={layers} counts from the end; layers are counted from 0.")


def _check_numbers(kind: str, which: Which, size: int) -> None:
    if jnp.asarray(which).dtype == bool:
        raise HookError(f"{kind}={which} is a mask; pass the numbers, np.flatnonzero(mask).")
    for number in _known_numbers(which):
        if not -size <= number < size:
            raise HookError(f"{kind}={number} is out of range; there are {size}")


def _known_numbers(which: object) -> list[int]:
    """Return the numbers that are known while tracing."""
    leaves = jax.tree.leaves(which)
    return [
        int(number) for leaf in leaves if not isinstance(leaf, Tracer) for number in np.ravel(leaf)
    ]

"""The parts of a value that a verb goes through one by one: its heads, and its positions."""

from collections.abc import Callable, Sequence
from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array

from attn_jax.circuits.metrics import KeyMask, position_of
from attn_jax.circuits.sites import Place
from attn_jax.hooks import HookError, HookPoint, Site, patch
from attn_jax.hooks.patching import axis_of

Role = Literal["head", "position"]


class Parts:
    """The heads, the positions, or both, of the values at some hook points.

    Args:
        roles: What is gone through, such as `("position",)`; nothing if empty.
        positions: The positions; negative ones count from the end of each text, all from the
            start if None.
        key_mask: True where a token exists, `(n, tokens)`, for texts of unequal length.
    """

    def __init__(
        self,
        roles: Sequence[Role],
        positions: Sequence[int] | None,
        key_mask: KeyMask | None,
    ) -> None:
        if len(set(roles)) < len(roles) or not set(roles) <= {"head", "position"}:
            raise ValueError(f"over={tuple(roles)!r}: choose of 'head' and 'position', once each.")
        if positions is not None and "position" not in roles:
            raise ValueError(f"positions={positions} need 'position' in over={tuple(roles)!r}.")
        self.roles = tuple(roles)
        self._positions = positions
        self._key_mask = key_mask

    def counts(self, place: Place) -> tuple[int, ...]:
        """Return how many parts a place has, along each role.

        Raises:
            HookError: If it has no heads, or not all of the positions.
        """
        return tuple(self._count(place, role) for role in self.roles)

    def masks(self, point: HookPoint, numbers: Sequence[Array]) -> Array:
        """Return True at one part, given its number along each role; it broadcasts with values."""
        mask = jnp.ones((1,) * len(point.shape), bool)
        for role, number in zip(self.roles, numbers, strict=True):
            along = self._is_position if role == "position" else _is_head
            mask = mask & along(point, number)
        return mask

    def reduced(self, point: HookPoint, values: Array) -> Array:
        """Return values summed over the axes that tell no parts apart, which stay with size one."""
        roles = {"head": "head", "position": "query"}
        axes = {values.ndim + axis_of(point, roles[role]) for role in self.roles}
        if self._key_mask is not None:
            axes.add(0)
        return values.sum([i for i in range(values.ndim) if i not in axes], keepdims=True)

    def _count(self, place: Place, role: Role) -> int:
        point = place.point
        if role == "head":
            if not point.axes and len(point.shape) < 4:
                raise HookError(
                    f"{point.name!r}, of shape {list(point.shape)}, has no axis of heads; choose "
                    "hook points of heads, such as '*.context'."
                )
            return place.size("head")
        tokens = place.size("query")
        if self._positions is None:
            return tokens
        for position in self._positions:
            if not -tokens <= position < tokens:
                raise HookError(f"position {position} is none of the {tokens} of {point.name!r}.")
        return len(self._positions)

    def _is_position(self, point: HookPoint, number: Array) -> Array:
        axis = axis_of(point, "query")
        tokens = point.shape[axis]
        if self._positions is not None:
            number = jnp.asarray(self._positions)[number]
        batch = 1 if self._key_mask is None else len(self._key_mask)
        places = position_of(jnp.full(batch, number), tokens, self._key_mask)
        is_place = jnp.arange(tokens)[None] == places[:, None]
        shape = [1] * len(point.shape)
        # Texts of unequal length lie along the first axis.
        shape[0], shape[axis] = batch, tokens
        return is_place.reshape(shape)


def _is_head(point: HookPoint, number: Array) -> Array:
    axis = axis_of(point, "head")
    shape = [1] * len(point.shape)
    shape[axis] = point.shape[axis]
    return (jnp.arange(point.shape[axis]) == number).reshape(shape)


def replacing(values: dict[str, Array], parts: Parts) -> Callable[..., Callable]:
    """Return a function from the number of a part to the edit that replaces that part alone."""

    def numbered(*numbers: Array) -> Callable[[Array, Site], Array]:
        def edit(value: Array, site: Site) -> Array:
            new = patch(values)(value, site)
            return jnp.where(parts.masks(site.point, numbers), new, value)

        return edit

    return numbered

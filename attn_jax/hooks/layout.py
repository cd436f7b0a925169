"""The axes of a value in somebody else's layout, and the layout in which hooks present it."""

import dataclasses
import math
from typing import Literal

import jax.numpy as jnp
from jax import Array

Role = Literal["batch", "head", "query", "key", "feature"]
"""What an axis of scores, weights or context runs over."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """The roles of the axes of an array, from which its presentation follows.

    Scores and weights are presented as `(*b, h, q, k)` and contexts as `(*b, q, h, d)`. Several
    axes of one role are joined, as those of grouped heads; a role that no axis has is left out.
    Axes in front of those named, as `vmap` puts them there, stay there.

    Attributes:
        roles: The role of each of the last axes of the array.
        ranks: For each of them, its place among the axes of its role when they are joined. The
            heads of a group may lie otherwise in the scores than in the weights.
    """

    roles: tuple[Role, ...]
    ranks: tuple[tuple[int, ...], ...]

    @property
    def axes(self) -> tuple[Role, ...]:
        """The roles of the axes as they are presented."""
        batch: list[Role] = [role for role in self.roles if role == "batch"]
        return (*batch, *(role for role in self._order if role in self.roles))

    def present(self, value: Array) -> Array:
        """Return an array in the layout of hooks."""
        groups = self._groups()
        extra = value.ndim - len(self.roles)
        permutation = [*range(extra), *(extra + axis for group in groups for axis in group)]
        shape = [math.prod(value.shape[extra + axis] for axis in group) for group in groups]
        moved = _transpose(value, permutation)
        return moved.reshape((*value.shape[:extra], *shape))

    def restore(self, presented: Array, like: Array) -> Array:
        """Return a presented array in the layout that `like` has."""
        order = [axis for group in self._groups() for axis in group]
        extra = like.ndim - len(self.roles)
        lead = like.shape[:extra]
        separate = presented.reshape((*lead, *(like.shape[extra + axis] for axis in order)))
        back = [extra + order.index(axis) for axis in range(len(order))]
        return _transpose(separate, [*range(extra), *back])

    @property
    def _order(self) -> tuple[Role, ...]:
        if "feature" in self.roles:
            return ("query", "head", "feature")
        return ("head", "query", "key")

    def _groups(self) -> list[list[int]]:
        """Return the axes that make up each presented axis."""
        by_role = {
            role: sorted(
                (axis for axis, r in enumerate(self.roles) if r == role),
                key=self.ranks.__getitem__,
            )
            for role in self._order
        }
        batch = [[axis] for axis, role in enumerate(self.roles) if role == "batch"]
        return batch + [axes for axes in by_role.values() if axes]


def _transpose(value: Array, permutation: list[int]) -> Array:
    is_same = permutation == list(range(len(permutation)))
    return value if is_same else jnp.transpose(value, permutation)

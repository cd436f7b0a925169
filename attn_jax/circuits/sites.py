"""The places in a model that a verb works on, layer by layer, and their axes."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from attn_jax.hooks import HookError, HookPoint, hook_points
from attn_jax.hooks.patching import axis_of
from attn_jax.hooks.patterns import Selection, key, match
from attn_jax.measure.numbered import all_steps

Model = Callable[[Any], Any]
"""A function with hook points, from its inputs, any pytree, to its output."""

Pattern = str | Sequence[str]
"""A glob of hook points, or several."""

Metric = Callable[[Any], Any]
"""A function from the output of a model to a scalar."""


@dataclasses.dataclass(frozen=True, eq=False)
class Place:
    """A hook point, and the steps of the scans around it that are meant.

    Attributes:
        point: The hook point.
        steps: The steps, `(s, loops)`; one row, of no columns, without a scan.
    """

    point: HookPoint
    steps: np.ndarray

    @property
    def names(self) -> list[str]:
        """The name of each step: that which the same layer has in an unrolled stack."""
        return [key(self.point.name, tuple(map(int, step))) for step in self.steps]

    def size(self, role: str) -> int:
        """Return the number of heads, or of positions (`query`)."""
        return self.point.shape[axis_of(self.point, role)]


def as_patterns(pattern: Pattern) -> list[str]:
    """Return one or several patterns as a list."""
    return [pattern] if isinstance(pattern, str) else list(pattern)


def find_places(fn: Model, inputs: Any, pattern: Pattern, *, use: str) -> list[Place]:
    """Return the places that match, in the order of the program.

    Args:
        fn: The model.
        inputs: Its inputs.
        pattern: The hook points.
        use: The verb that needs them, for the message.

    Raises:
        HookError: If there is none.
    """
    points = hook_points(fn)(inputs)
    patterns = as_patterns(pattern)
    places = [Place(point, steps) for point in points if len(steps := _steps(point, patterns))]
    if not places:
        names = ", ".join(point.name for point in points) or "none at all"
        raise HookError(
            f"{use} needs hook points like {' or '.join(patterns)}, and the model has {names}. "
            "hooks.tap_attention(fn) gives any JAX function those of its attention, interop.named "
            "names its parts, and hooks.tap adds others by hand."
        )
    return places


def attention_places(fn: Model, inputs: Any, *, use: str) -> list[Place]:
    """Return the context of every attention, or its weights where no context is known.

    Raises:
        HookError: If there is neither.
    """
    places = find_places(fn, inputs, ("*.context", "*.weights"), use=use)
    contexts = {_parent(place) for place in places if place.point.name.endswith("context")}
    return [p for p in places if p.point.name.endswith("context") or _parent(p) not in contexts]


def _parent(place: Place) -> str:
    return place.point.name.rpartition(".")[0]


def join_layers(values: Sequence[Array]) -> Float[Array, "layer ..."]:
    """Return the numbers of some places, `(s, ...)` each, as one array.

    It is NaN where a layer has fewer numbers than others.
    """
    largest = np.max([value.shape[1:] for value in values], axis=0)
    padded = [jnp.pad(value, _missing(value, largest), constant_values=jnp.nan) for value in values]
    return jnp.concatenate(padded)


def names_of(places: Sequence[Place]) -> tuple[str, ...]:
    """Return the names of all steps of some places, in the order of :func:`join_layers`."""
    return tuple(name for place in places for name in place.names)


def _missing(value: Array, largest: np.ndarray) -> list[tuple[int, int]]:
    return [(0, 0), *((0, int(n) - own) for n, own in zip(largest, value.shape[1:], strict=True))]


def _steps(point: HookPoint, patterns: Sequence[str]) -> np.ndarray:
    selections = [s for each in patterns for s in match(each, point.name, point.lengths)]
    steps = all_steps(point.lengths)
    return steps[[any(_selects(selection, step) for selection in selections) for step in steps]]


def _selects(selection: Selection, step: np.ndarray) -> bool:
    return all(s in (None, i) for s, i in zip(selection, step, strict=True))

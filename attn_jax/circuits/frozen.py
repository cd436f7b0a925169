"""Models with some values held fixed, so that what is left of them is linear."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from attn_jax.circuits.sites import Model, Pattern, Place, as_patterns, find_places
from attn_jax.hooks import HookError, capture, intervene, patch
from attn_jax.hooks.patterns import match

DENOMINATORS = "*.denominator"
"""The hook points of what normalizations divide by, in models of `attn_jax.pretrained`."""


def find_groups(
    fn: Model, inputs: Any, groups: Mapping[str, Pattern], *, needed: Sequence[str], use: str
) -> dict[str, list[Place]]:
    """Return the places that match each of some patterns, from one trace of the model.

    Args:
        fn: The model.
        inputs: Its inputs.
        groups: The patterns, by the name of the group.
        needed: The groups that may not be empty.
        use: The verb that needs them, for the message.

    Raises:
        HookError: If a group that is needed is empty.
    """
    globs = {name: as_patterns(each) for name, each in groups.items()}
    places = find_places(fn, inputs, [glob for each in globs.values() for glob in each], use=use)
    found = {name: _among(places, each) for name, each in globs.items()}
    for name in needed:
        if not found[name]:
            find_places(fn, inputs, globs[name], use=use)  # which says what is missing
    return found


def _among(places: Sequence[Place], globs: Sequence[str]) -> list[Place]:
    found = []
    for place in places:
        rows = [any(match(glob, name, ()) for glob in globs) for name in place.names]
        if any(rows):
            found.append(Place(place.point, place.steps[np.array(rows)]))
    return found


def point_names(*groups: Sequence[Place]) -> list[str]:
    """Return the hook points of some places."""
    return [place.point.name for group in groups for place in group]


def read(fn: Model, names: Sequence[str], inputs: Any) -> tuple[Any, dict[str, Array]]:
    """Return the output of the model and the values at hook points, if there are any."""
    return capture(fn, names)(inputs) if names else (fn(inputs), {})


def fix(fn: Model, values: Mapping[str, Array]) -> Model:
    """Return the model with hook points fixed at values."""
    return intervene(fn, {name: patch(values) for name in values})


def layers_of(place: Place, values: Mapping[str, Array]) -> Array:
    """Return the values at a place, `(s, ...)`: those of each step that is meant."""
    value = values[place.point.name]
    return value[tuple(place.steps.T)] if place.point.lengths else value[None]


def all_layers(places: Sequence[Place], values: Mapping[str, Array]) -> dict[str, Array]:
    """Return the values at some places by the name of each layer."""
    return {
        name: value
        for place in places
        for name, value in zip(place.names, layers_of(place, values), strict=True)
    }


def stacked(layers: Mapping[str, Array]) -> Array:
    """Return the values of all layers as one array.

    Raises:
        HookError: If their shapes differ.
    """
    shapes = {name: list(value.shape) for name, value in layers.items()}
    first, *others = shapes.items()
    for name, shape in others:
        if shape != first[1]:
            raise HookError(
                f"{first[0]!r} has the shape {first[1]} and {name!r} {shape}; choose hook points "
                "of one shape, such as those of the decoder alone: 'decoder.*'."
            )
    return jnp.stack(list(layers.values()))

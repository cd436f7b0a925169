"""Runs in which one head after the other takes other values."""

from collections.abc import Callable, Sequence
from typing import Any

from jaxtyping import Array, Float

from attn_jax.circuits.sites import Model, Place, join_layers
from attn_jax.hooks import patch
from attn_jax.measure.numbered import map_edits


def replace_each_head(
    score: Callable[[Model], Array],
    fn: Model,
    places: Sequence[Place],
    values: Any,
    batch_size: int | None,
) -> Float[Array, "layer head"]:
    """Return the score of a model in which a single head has other values, for each head.

    Args:
        score: Returns the score of an edited model, a scalar.
        fn: The model.
        places: The hook points of the heads.
        values: The other values, as :func:`attn_jax.hooks.patch` takes them.
        batch_size: How many runs are made at once; if None, as many as half a gigabyte holds.

    Returns:
        The scores; NaN where a layer has fewer heads than others.
    """
    scores = [
        map_edits(
            score,
            fn,
            place.point.name,
            lambda head: patch(values, heads=head),
            (place.size("head"),),
            steps=place.steps,
            batch_size=batch_size,
        )
        for place in places
    ]
    return join_layers(scores)

"""What every verb checks of its arguments."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from attn_jax.circuits.sites import Metric, Model


def scored(metric: Metric, inputs: Any) -> Callable[[Model], Array]:
    """Return a function from a model to the metric of its output for some inputs.

    Raises:
        ValueError: When it is called, if the metric is no scalar.
    """

    def score(fn: Model) -> Array:
        value = jnp.asarray(metric(fn(inputs)))
        if value.shape:
            raise ValueError(
                f"the metric returns an array of shape {list(value.shape)}, and a number is needed "
                "for all of the batch: return its mean, for example."
            )
        return value

    return score


def check_same_shapes(inputs: Any, other: Any) -> None:
    """Refuse inputs between which values could not be exchanged.

    Raises:
        ValueError: If they differ in structure or in a shape.
    """
    shapes = [jax.tree.map(jnp.shape, each) for each in (inputs, other)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"the inputs have the shapes {shapes[0]} and {shapes[1]}, so that values of one do not "
            "fit the other: pair texts of equally many tokens, or fill up both and pass key_mask."
        )

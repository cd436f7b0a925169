"""Numbers about the parts of a model, with names for their axes."""

import dataclasses
from typing import Any

import jax
import numpy as np
from jax import Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Scores:
    """Numbers about the parts of a model, one for each layer and head, for example.

    Attributes:
        values: The numbers, with an axis for each name in `axes`.
        axes: The names of the axes, such as `("layer", "head", "position")`.
        names: The hook points along the axis `layer`, or along the first axis.
    """

    values: Array
    axes: tuple[str, ...] = dataclasses.field(metadata={"static": True})
    names: tuple[str, ...] = dataclasses.field(default=(), metadata={"static": True})

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return the numbers as a NumPy array."""
        return np.array(self.values, dtype=dtype)

    def largest(self, count: int = 10) -> list[tuple[dict[str, int], float]]:
        """Return the numbers of the largest size, largest first, each with its place.

        Args:
            count: How many.

        Example:
            >>> import jax.numpy as jnp
            >>> from attn_jax.circuits import Scores
            >>> Scores(jnp.array([[1.0, -5.0], [2.0, 0.0]]), ("layer", "head")).largest(2)
            [({'layer': 0, 'head': 1}, -5.0), ({'layer': 1, 'head': 0}, 2.0)]
        """
        values = np.asarray(self.values)
        order = np.argsort(-np.abs(values), axis=None, kind="stable")[:count]
        places = zip(*np.unravel_index(order, values.shape), strict=True)
        return [
            (dict(zip(self.axes, map(int, place), strict=True)), float(values[place]))
            for place in places
        ]

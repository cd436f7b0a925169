"""The random numbers of a card, drawn on the host: a draw takes seconds to compile."""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from attn_jax.measure.card.orders import FEW

_SHIFTS = 3
_EXCHANGES = 8


class Noise(NamedTuple):
    """Random numbers between 0 and 1 for each key of each example.

    Attributes:
        ties: They break ties, (n, k).
        orders: Random orders of the keys, (r, n, k).
        exchanges: Random exchanges of weights, (8, n, k).
        shuffles: Random exchanges of the map's values, (8, n, k).
        shifts: A few numbers, which choose the examples whose inputs replace others, (3,).
        search: A random key for the search for adversarial weights.
    """

    ties: Array
    orders: Array
    exchanges: Array
    shuffles: Array
    shifts: Array
    search: Array


def draw(rng: Array, shape: tuple[int, int]) -> Noise:
    """Draw the random numbers for `(n, k)` keys."""
    seed = np.asarray(jax.random.key_data(rng)).ravel().tolist()
    sizes = (1, 8 if shape[1] <= FEW else 2, _EXCHANGES, _EXCHANGES)
    generator = np.random.default_rng(seed)
    numbers = generator.random((sum(sizes), *shape), np.float32)
    shifts = generator.random(_SHIFTS, np.float32)
    starts = np.cumsum((0, *sizes))
    ties, orders, exchanges, shuffles = (
        jnp.asarray(numbers[a:b]) for a, b in itertools.pairwise(starts)
    )
    return Noise(ties[0], orders, exchanges, shuffles, jnp.asarray(shifts), rng)


def exponential(noise: Array) -> Array:
    """Return random numbers whose normalized vectors are uniform among all distributions."""
    return -jnp.log(jnp.maximum(noise, 1e-7))

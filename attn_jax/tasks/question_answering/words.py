"""The names, places and things of generated stories, in groups."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

__all__ = ["GROUPS", "NAMES", "PLACES", "THINGS", "draw_groups", "exchange"]

GROUPS = 6
"""The number of groups of each kind of word."""

_STEPS = {"train": (0, 1, 2, 3), "validation": (4,), "test": (5,)}


def _grouped(words: str) -> tuple[tuple[str, ...], ...]:
    listed = words.split()
    size = len(listed) // GROUPS
    return tuple(tuple(listed[group * size : (group + 1) * size]) for group in range(GROUPS))


NAMES = _grouped("""
    alice amir anna bella bruno carla chen clara david diego elena emma farid felix greta hana hugo
    ines ivan jonas julia karim laura leon maria nadia omar pablo rosa sofia
""")
"""The names by group."""

PLACES = _grouped("""
    airport attic balcony bakery barn basement bathroom beach bedroom cafe cellar chapel cinema
    farm forest garage garden hallway harbor hospital hotel kitchen library market museum office
    park pool school shop stable station studio theater tower workshop
""")
"""The places by group."""

THINGS = _grouped("""
    apple bag ball basket book bottle box camera coat cup drum flag guitar hammer hat key lamp
    letter mirror phone ring rope scarf umbrella
""")
"""The things by group."""


def draw_groups(split: str, rng: np.random.Generator) -> tuple[int, int, int]:
    """Draw the groups of a story's names, places and things.

    The groups of places and things are some steps after that of the names, in a circle, and each
    split has steps of its own. So no name of a test story ever met one of its places or things in
    a training story, though each of these words occurs in training.

    Args:
        split: `train`, `validation` or `test`.
        rng: The source of chance.
    """
    first = int(rng.integers(GROUPS))
    steps = rng.choice(_STEPS[split], 2)
    return first, int(first + steps[0]) % GROUPS, int(first + steps[1]) % GROUPS


def exchange(rng: PRNGKeyArray, kinds: Sequence[np.ndarray], size: int) -> Int[Array, " v"]:
    """Draw an exchange of words that keeps apart the groups that `draw_groups` keeps apart.

    Words change places within their group, and all groups move on by the same number of steps.

    Args:
        rng: The random key.
        kinds: The numbers of the words of each kind, (groups, words).
        size: The number of words.

    Returns:
        The new number of each word.
    """
    step_rng, *rngs = jax.random.split(rng, 1 + len(kinds))
    steps = jax.random.randint(step_rng, (), 0, GROUPS)
    words = jnp.arange(size)
    for kind, kind_rng in zip(kinds, rngs, strict=True):
        shuffled = jax.random.permutation(kind_rng, jnp.asarray(kind), axis=1, independent=True)
        words = words.at[kind.ravel()].set(jnp.roll(shuffled, steps, axis=0).ravel())
    return words

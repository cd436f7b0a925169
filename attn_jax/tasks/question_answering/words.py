"""The names, places and things of generated stories, in groups."""

import numpy as np

__all__ = ["GROUPS", "NAMES", "PLACES", "THINGS", "draw_groups"]

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

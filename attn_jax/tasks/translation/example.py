"""A pair of sentences, and the links between their tokens where they are known."""

import dataclasses

__all__ = ["Example", "Links"]

Links = tuple[tuple[int, int], ...]
"""Pairs of a target token and a source token, both counted from 0."""


@dataclasses.dataclass(frozen=True, slots=True)
class Example:
    """A sentence, its translation, and which token comes from which.

    Example:
        >>> pair = Example(("7", "."), ("0", "7"), ((1, 0),), ((0, 0), (1, 0)), "7.", "07")
        >>> set(pair.sure) <= set(pair.possible)
        True
    """

    source: tuple[str, ...]
    """The tokens of the source as shown to people."""

    target: tuple[str, ...]
    """The tokens of the target as shown to people, without the end."""

    sure: Links = ()
    """The links that an alignment must have; (target token, source token)."""

    possible: Links = ()
    """The links that an alignment may have, the sure ones included; empty where none are known."""

    source_text: str = ""
    """What the source tokens were made of."""

    target_text: str = ""
    """What the target tokens were made of."""

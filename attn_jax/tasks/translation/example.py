"""A pair of sentences, and the links between their tokens where they are known."""

import dataclasses

__all__ = ["Example", "Links"]

Links = tuple[tuple[int, int], ...]
"""Pairs of the indices of a target token and a source token, from 0."""


@dataclasses.dataclass(frozen=True, slots=True)
class Example:
    """A sentence, its translation, and the links between their tokens.

    Example:
        >>> pair = Example(("7", "."), ("0", "7"), ((1, 0),), ((0, 0), (1, 0)), "7.", "07")
        >>> set(pair.sure) <= set(pair.possible)
        True
    """

    source: tuple[str, ...]
    """The tokens of the source, for display."""

    target: tuple[str, ...]
    """The tokens of the target, for display, without the end token."""

    sure: Links = ()
    """The links that an alignment must have, as (target token, source token)."""

    possible: Links = ()
    """The links that an alignment may have, sure ones included; empty if none are known."""

    source_text: str = ""
    """The text of the source."""

    target_text: str = ""
    """The text of the target."""

"""A text with its class and the words that decide it."""

from typing import NamedTuple

__all__ = ["Text"]


class Text(NamedTuple):
    """A text with its class.

    Attributes:
        words: The words and punctuation marks.
        label: The name of the class.
        evidence: The places of the words that decide, where they are known.
    """

    words: tuple[str, ...]
    label: str
    evidence: tuple[int, ...] = ()

"""A document and its summary."""

import re
import unicodedata
from typing import NamedTuple

__all__ = ["Pair", "split_words"]

_WORD = re.compile(r"\w+(?:['’]\w+)*")


class Pair(NamedTuple):
    """A document and its summary, in words.

    Attributes:
        document: The words of the document.
        summary: The words of the summary.
        origin: Where it is from: a package, or a line of a file.
    """

    document: tuple[str, ...]
    summary: tuple[str, ...]
    origin: str


def split_words(text: str) -> tuple[str, ...]:
    """Split a text into words in lower case, without punctuation.

    A name such as `sparse_matrix` is one word, and `linalg.norm` two.

    Args:
        text: Any text.

    Example:
        >>> split_words("Don't use `linalg.norm(x_1)`!")
        ("don't", 'use', 'linalg', 'norm', 'x_1')
    """
    return tuple(_WORD.findall(unicodedata.normalize("NFC", text).lower()))

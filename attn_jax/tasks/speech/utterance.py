"""An utterance: its sound, its words, and when each of them is said."""

from typing import NamedTuple

import numpy as np

__all__ = ["RATE", "Utterance"]

RATE = 16_000
"""The samples of a second."""


class Utterance(NamedTuple):
    """A sound in which words are said.

    Attributes:
        sound: The samples, int16, `RATE` of them a second.
        words: The words.
        times: The seconds at which each word begins, and at which the last one ends; empty if
            they are not known.
        voice: Who says it; empty if that is not known.
    """

    sound: np.ndarray
    words: tuple[str, ...]
    times: tuple[float, ...] = ()
    voice: str = ""

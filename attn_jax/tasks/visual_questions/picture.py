"""A picture with questions about it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_BOXES", "Box", "Picture", "Question"]

Box = tuple[int, int, int, int]
"""`(top, left, bottom, right)` in pixels, the last two one past the end."""

MOST_BOXES = 2
"""The most boxes of a question."""


class Question(NamedTuple):
    """A question and its answer.

    Attributes:
        words: The words of the question.
        answer: The word that answers it.
        boxes: The boxes of what decides the answer, what is asked about first; empty where there is
            nothing, or where it is not known.
        keywords: The places of the words that decide what is asked, from 0.
        is_new: Whether it takes a combination that training never showed.
    """

    words: tuple[str, ...]
    answer: str
    boxes: tuple[Box, ...] = ()
    keywords: tuple[int, ...] = ()
    is_new: bool = False


class Picture(NamedTuple):
    """A picture and the questions about it.

    Attributes:
        pixels: Colors as uint8, (height, width, 3).
        questions: The questions.
    """

    pixels: NDArray[np.uint8]
    questions: tuple[Question, ...]

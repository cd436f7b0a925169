"""A story with a question about it."""

from typing import NamedTuple

__all__ = ["Story"]


class Story(NamedTuple):
    """Sentences, a question and its answer.

    Attributes:
        sentences: The words of each sentence.
        question: The words of the question.
        answer: The word that answers it.
        facts: The places of the sentences that answer it, in the order in which they are needed;
            empty where they are not known.
    """

    sentences: tuple[tuple[str, ...], ...]
    question: tuple[str, ...]
    answer: str
    facts: tuple[int, ...] = ()

"""What the words of a question alone tell about its answer."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from attn_jax.tasks.visual_questions.picture import Question

__all__ = ["question_only"]


def question_only(known: Iterable[Question], asked: Sequence[Question]) -> float:
    """Return the share of questions that are answered rightly without the picture.

    The guess is the most frequent answer to the same question in training; if it was never asked
    there, to the questions that begin with the most words in common.

    Args:
        known: The questions of training.
        asked: The questions to answer.

    Example:
        >>> known = [Question(("what", "color"), "red"), Question(("is", "it"), "no")]
        >>> question_only(known, [Question(("what", "shape"), "red"), Question(("is",), "yes")])
        0.5
    """
    answers: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for question in known:
        for end in range(len(question.words) + 1):
            answers[question.words[:end]][question.answer] += 1
        # Apart from those that only begin so.
        answers[*question.words, ""][question.answer] += 1
    right = 0
    for question in asked:
        starts = (question.words[:end] for end in range(len(question.words), -1, -1))
        start = next(s for s in ((*question.words, ""), *starts) if s in answers)
        right += answers[start].most_common(1)[0][0] == question.answer
    return right / max(len(asked), 1)

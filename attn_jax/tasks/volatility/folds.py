"""Walk-forward splits: each fold learns from days before its own block of test days."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["MONTH", "Fold", "walk_forward"]

MONTH = 22
"""The days of trade in a month."""


class Fold(NamedTuple):
    """The last known days of the examples of a fold, as indices of days, each in order.

    Attributes:
        train: Those to learn from.
        validation: Those after them.
        test: Those after the validation's.
    """

    train: NDArray
    validation: NDArray
    test: NDArray


def walk_forward(
    days: int, window: int, folds: int, validation: int, test: int, origin: str
) -> list[Fold]:
    """Split days into folds, whose blocks of test days follow each other to the end.

    What an example predicts reaches a month ahead. So the last example of each part is the last one
    whose month has ended when the next part's first example is asked.

    Args:
        days: The number of days.
        window: The days that an example looks back on, its own last one included.
        folds: The number of folds.
        validation: The validation days of each fold.
        test: The test days of each fold.
        origin: The name of the days in errors.

    Raises:
        ValueError: If there are too few days for a fold to learn from.
    """
    end = days - MONTH
    needed = window + 10 * MONTH + validation + 2 * MONTH + folds * test + MONTH
    if days < needed:
        raise ValueError(
            f"{origin} has {days} days, and {folds} folds of {test} test days need {needed}; add "
            "days, or lower --task.folds, --task.test-days or --task.validation-days."
        )
    parts = []
    for number in range(folds):
        first = end - (folds - number) * test
        checked = np.arange(first - MONTH - validation + 1, first - MONTH + 1)
        learned = np.arange(window - 1, checked[0] - MONTH + 1)
        parts.append(Fold(learned, checked, np.arange(first, first + test)))
    return parts

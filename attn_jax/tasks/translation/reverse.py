"""Letters to be said backwards: the task whose attention everybody recognises."""

import string

import numpy as np

from attn_jax.tasks.translation.example import Example

__all__ = ["reverse_examples"]


def reverse_examples(
    *, train: int, validation: int, test: int, seed: int, shortest: int = 5, longest: int = 16
) -> dict[str, list[Example]]:
    """Draws strings of letters; the target is the string reversed.

    Every link of the anti-diagonal is sure. No string is drawn twice.

    Args:
        train: How many to learn from.
        validation: How many to select by.
        test: How many to be judged by.
        seed: Of all strings.
        shortest: The fewest letters.
        longest: The most.

    Returns:
        The examples of each split.

    Example:
        >>> splits = reverse_examples(train=3, validation=2, test=2, seed=0)
        >>> pair = splits["test"][0]
        >>> pair.target_text == pair.source_text[::-1]
        True
    """
    rng = np.random.default_rng(seed)
    drawn: dict[str, None] = {}
    wanted = train + validation + test
    while len(drawn) < wanted:
        lengths = rng.integers(shortest, longest + 1, size=wanted)
        letters = rng.choice(list(string.ascii_lowercase), size=(wanted, longest))
        rows = zip(letters.tolist(), lengths.tolist(), strict=True)
        drawn |= dict.fromkeys("".join(row[:length]) for row, length in rows)
    links = [tuple((t, n - 1 - t) for t in range(n)) for n in range(longest + 1)]
    examples = [
        Example(
            tuple(text), tuple(text[::-1]), links[len(text)], links[len(text)], text, text[::-1]
        )
        for text in list(drawn)[:wanted]
    ]
    return {
        "train": examples[:train],
        "validation": examples[train : train + validation],
        "test": examples[train + validation :],
    }

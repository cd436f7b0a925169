"""Strings of letters to be reversed, a task whose right attention is the anti-diagonal."""

import string

import numpy as np

from attn_jax.tasks.translation.example import Example

__all__ = ["reverse_examples"]


def reverse_examples(
    *, train: int, validation: int, test: int, seed: int, shortest: int = 5, longest: int = 16
) -> dict[str, list[Example]]:
    """Draw strings of letters; the target is the string reversed.

    Every link of the anti-diagonal is sure. No string is drawn twice.

    Args:
        train: The number of training examples.
        validation: The number of validation examples.
        test: The number of test examples.
        seed: The seed for drawing the strings.
        shortest: The fewest letters of a string.
        longest: The most letters of a string.

    Returns:
        The examples of each split.

    Example:
        >>> splits = reverse_examples(train=3, validation=2, test=2, seed=0)
        >>> pair = splits["test"][0]
        >>> pair.target_text == pair.source_text[::-1]
        True
    """
    rng = np.random.default_rng(seed)
    strings: dict[str, None] = {}
    count = train + validation + test
    while len(strings) < count:
        lengths = rng.integers(shortest, longest + 1, size=count)
        letters = rng.choice(list(string.ascii_lowercase), size=(count, longest))
        rows = zip(letters.tolist(), lengths.tolist(), strict=True)
        strings |= dict.fromkeys("".join(row[:length]) for row, length in rows)
    links = [tuple((t, n - 1 - t) for t in range(n)) for n in range(longest + 1)]
    examples = [
        Example(
            tuple(text), tuple(text[::-1]), links[len(text)], links[len(text)], text, text[::-1]
        )
        for text in list(strings)[:count]
    ]
    return {
        "train": examples[:train],
        "validation": examples[train : train + validation],
        "test": examples[train + validation :],
    }

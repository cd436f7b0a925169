"""From sub-tokens to words, with no attention lost."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attn_jax.plot.arrays import as_array
from attn_jax.plot.checks import check_labels


def merge_words(
    weights: ArrayLike,
    words: Sequence[object],
    key_words: Sequence[object] | None = None,
) -> NDArray[np.float64]:
    """Merges the sub-tokens of each word: the weights of its keys are summed, its queries averaged.

    What a row sums to is kept: a word pays as much attention as its pieces did on average, and
    receives all that they received.

    Args:
        weights: ``(…, queries, keys)``.
        words: For each query, which word it belongs to, as a tokenizer's ``word_ids()``; for the
            keys too, unless they have ``key_words``. Neighbours with equal entries are one word;
            a token whose entry is None stays alone.
        key_words: For each key, which word it belongs to.

    Returns:
        ``(…, query words, key words)``.

    Raises:
        ValueError: If there is another number of entries than of tokens.

    Example:
        >>> from attn_jax import plot
        >>> pieces = [[0.5, 0.25, 0.25], [0.0, 1.0, 0.0], [0.0, 0.5, 0.5]]  # see, ##ing, is
        >>> plot.merge_words(pieces, [0, 0, 1]).tolist()
        [[0.875, 0.125], [0.5, 0.5]]
    """
    array = np.asarray(as_array(weights), np.float64)
    if array.ndim < 2:
        raise ValueError(f"weights has shape {array.shape}; (…, queries, keys) is needed.")
    key_words = words if key_words is None else key_words
    check_labels(array.shape[-2:], words=words, key_words=key_words)
    rows, columns = word_starts(words), word_starts(key_words)
    sizes = np.diff(rows, append=array.shape[-2])
    summed = np.add.reduceat(np.add.reduceat(array, columns, axis=-1), rows, axis=-2)
    return summed / sizes[:, None]


def word_starts(words: Sequence[object]) -> NDArray[np.int_]:
    """Gives the place of the first token of each word."""
    return np.array(
        [at for at, word in enumerate(words) if not at or word is None or word != words[at - 1]],
        dtype=int,
    )

"""Word-level attention from subword tokens."""

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
    """Merge the subword tokens of each word: sum the weights of its keys, average its queries.

    The sums of rows stay the same: a word pays as much attention as its pieces do on average, and
    receives all that they receive.

    Args:
        weights: `(…, queries, keys)`.
        words: Word of each query, as a tokenizer's `word_ids()`; of each key too, without
            `key_words`. Neighbors with equal entries are one word; a token whose entry is None
            is a word of its own.
        key_words: Word of each key.

    Returns:
        `(…, query words, key words)`.

    Raises:
        ValueError: If there is not one entry per token.

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
    """Return the index of the first token of each word."""
    return np.array(
        [i for i, word in enumerate(words) if not i or word is None or word != words[i - 1]],
        dtype=int,
    )

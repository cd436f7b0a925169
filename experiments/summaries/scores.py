"""ROUGE, and summaries that nothing was trained for: the lead, and that of the nearest document."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import norm

from attn_jax._extras import require
from attn_jax.tasks.summaries.pair import Pair

NAMES = ("rouge_1", "rouge_2", "rouge_l")
"""The scores: words, pairs of words, and the longest common subsequence."""


def rouge(written: Sequence[Sequence[str]], pairs: Sequence[Pair]) -> np.ndarray:
    """Return F1 scores of summaries by rouge-metric, (n, 3), in the order of :data:`NAMES`.

    Args:
        written: The words of each summary.
        pairs: The documents, with the summaries to compare with.

    Raises:
        MissingPackageError: If the package `rouge-metric` is not installed.
    """
    require("rouge_metric", extra="text")
    from rouge_metric import PyRouge

    scorer = PyRouge(rouge_n=(1, 2), rouge_l=True, mode="individual")
    scores: Any = scorer.evaluate_tokenized(
        [[list(words)] for words in written], [[[list(pair.summary)]] for pair in pairs]
    )
    return np.array([[each[name.replace("_", "-")]["f"] for name in NAMES] for each in scores])


def lead(pairs: Sequence[Pair], most: int = 12) -> list[tuple[str, ...]]:
    """Return the first words of each document.

    Args:
        pairs: The documents.
        most: The number of words; 12 are about the best of 8 to 30 on the validation split.
    """
    return [pair.document[:most] for pair in pairs]


def nearest(pairs: Sequence[Pair], known: Sequence[Pair], length: int) -> list[tuple[str, ...]]:
    """Return the summary of the known document whose bag of words is nearest to each document.

    Bags are compared by the cosine of their term frequencies times inverse document frequencies.

    Args:
        pairs: The documents.
        known: The documents to choose from.
        length: The number of words at which documents are cut.
    """
    words = sorted({word for pair in known for word in pair.document[:length]})
    columns = {word: column for column, word in enumerate(words)}
    bags = _bags(known, columns, length)
    frequency = np.diff(bags.tocsc().indptr)
    rarity = sparse.diags_array(np.log(len(known) / frequency))
    inside, outside = (
        _unit(sparse.csr_array(each @ rarity)) for each in (bags, _bags(pairs, columns, length))
    )
    closest = (outside @ inside.T).toarray().argmax(-1)
    return [known[row].summary for row in closest]


def _bags(pairs: Sequence[Pair], columns: dict[str, int], length: int) -> sparse.csr_array:
    """Return how often each document has each word, (n, words)."""
    places = [
        (row, columns[word])
        for row, pair in enumerate(pairs)
        for word in pair.document[:length]
        if word in columns
    ]
    rows, cells = np.array(places, int).reshape(-1, 2).T
    return sparse.csr_array((np.ones(len(rows)), (rows, cells)), (len(pairs), len(columns)))


def _unit(bags: sparse.csr_array) -> sparse.csr_array:
    lengths = np.maximum(norm(bags, axis=1), 1e-9)
    return sparse.csr_array(sparse.diags_array(1 / lengths) @ bags)

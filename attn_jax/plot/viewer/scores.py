"""Scores of each head that a viewer offers without being given any."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# By name, a number for each head, or None.
Scores = dict[str, list[float | None]]


def head_scores(
    weights: NDArray[np.floating], labels: tuple[list[str] | None, list[str] | None]
) -> Scores:
    """Return how far each head attends to the previous, the first and the next-after-same token.

    Each score is the mean weight on such keys, over the queries that have them:

    - previous token: the key before the query;
    - first token: key 0, from later queries;
    - induction: keys up to the query, after a token with the query's label (Elhage et al., 2021).

    Args:
        weights: `(heads, queries, keys)`.
        labels: Labels of the queries and of the keys, or None.

    Returns:
        By name, one number for each head, or None where no query has such a key: always if the
        queries are not the keys.

    Example:
        >>> import numpy as np
        >>> from attn_jax.plot.viewer.scores import head_scores
        >>> head_scores(np.eye(3, k=-1)[None], (None, None))["previous token"]
        [1.0]
    """
    heads, queries, keys = weights.shape
    if queries != keys or (labels[0] != labels[1]):
        return {name: [None] * heads for name in ("previous token", "first token", "induction")}
    diagonal = np.diagonal(weights, -1, 1, 2)
    return {
        "previous token": _means(diagonal.sum(1), queries - 1),
        "first token": _means(weights[:, 1:, 0].sum(1), queries - 1),
        "induction": _induction(weights, labels[0]),
    }


def _means(sums: NDArray, count: int) -> list[float | None]:
    return (sums / count).astype(float).tolist() if count else [None] * len(sums)


def _induction(weights: NDArray[np.floating], labels: Sequence[str] | None) -> list[float | None]:
    if labels is None or len(set(labels)) == len(labels):
        return [None] * len(weights)
    kinds = np.unique(np.asarray(labels, object).astype(str), return_inverse=True)[1]
    after_same = np.zeros((len(kinds), len(kinds)), bool)
    after_same[:, 1:] = kinds[:, None] == kinds[:-1]
    after_same = np.tril(after_same)
    return _means(
        np.einsum("hqk,qk->h", weights, after_same, dtype=np.float64),
        int(after_same.any(1).sum()),
    )

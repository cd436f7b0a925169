"""Rows of numbers of a few fixed lengths, so that a compiled step meets few shapes."""

from collections.abc import Mapping, Sequence

import numpy as np

from attn_jax.tasks.translation.tokens import END, PAD

__all__ = ["Encoded", "bucket_edges", "make_buckets"]

Encoded = tuple[list[int], list[int]]
"""The numbers of a source and of its target, without the end."""

_MOST = 4
_LEAST_EXAMPLES = 512


def bucket_edges(lengths: Sequence[int]) -> list[int]:
    """Chooses the source lengths that rows are padded to.

    They part the training examples into up to four groups of the same number, or fewer where a
    group would have under 512, which fill no batches.

    Args:
        lengths: Of the sources of the training split.

    Returns:
        Lengths in growing order; the last one is the greatest given.

    Example:
        >>> bucket_edges([3, 4, 5, 7] * 512), bucket_edges([3, 4, 5, 7])
        ([3, 4, 5, 7], [7])
    """
    groups = max(1, min(_MOST, len(lengths) // _LEAST_EXAMPLES))
    quantiles = np.arange(1, groups + 1) / groups
    return np.unique(np.quantile(lengths, quantiles, method="higher")).astype(int).tolist()


def make_buckets(
    splits: Mapping[str, Sequence[Encoded]],
) -> dict[str, list[dict[str, np.ndarray]]]:
    """Pads every split's rows to the lengths that its training split suggests.

    Args:
        splits: The numbers of each example; ``train`` chooses the lengths.

    Returns:
        For each split the buckets that have rows, by source length: ``source`` int32 (n, S),
        ``target`` int32 (n, T) with the end, and ``example`` int32 (n,), the place in the split.
        Buckets of one source length have one target length in all splits.

    Example:
        >>> buckets = make_buckets({"train": [([4, 5], [6])]})["train"]
        >>> buckets[0]["source"].tolist(), buckets[0]["target"].tolist()
        ([[4, 5]], [[6, 2]])
    """
    edges = bucket_edges([len(source) for source, _ in splits["train"]])
    longest = max(len(source) for pairs in splits.values() for source, _ in pairs)
    edges[-1] = max(edges[-1], longest)
    groups = {split: _group(pairs, edges) for split, pairs in splits.items()}
    widths = [
        1 + max(len(splits[split][row][1]) for split, g in groups.items() for row in (*g[i], 0))
        for i in range(len(edges))
    ]
    return {
        split: [
            _pad(splits[split], rows, edge, width)
            for rows, edge, width in zip(groups[split], edges, widths, strict=True)
            if len(rows)
        ]
        for split in splits
    }


def _group(pairs: Sequence[Encoded], edges: list[int]) -> list[np.ndarray]:
    bucket = np.searchsorted(edges, [len(source) for source, _ in pairs])
    return [np.flatnonzero(bucket == number) for number in range(len(edges))]


def _pad(
    pairs: Sequence[Encoded], rows: np.ndarray, source_length: int, target_length: int
) -> dict[str, np.ndarray]:
    source = np.full((len(rows), source_length), PAD, np.int32)
    target = np.full((len(rows), target_length), PAD, np.int32)
    for at, row in enumerate(rows):
        numbers, translation = pairs[row]
        source[at, : len(numbers)] = numbers
        target[at, : len(translation) + 1] = [*translation, END]
    return {"source": source, "target": target, "example": rows.astype(np.int32)}

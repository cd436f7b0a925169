"""Rows of numbers padded to a few fixed lengths, so that few shapes are compiled."""

from collections.abc import Mapping, Sequence

import numpy as np

from attn_jax.tasks.translation.tokens import END, PAD

__all__ = ["Encoded", "bucket_shapes", "make_buckets"]

Encoded = tuple[list[int], list[int]]
"""The numbers of a source and of its target, without the end token."""

Shape = tuple[int, int]
"""The source length and the target length of a bucket."""

_MAX_BUCKETS = 6
_MIN_EXAMPLES = 512
# Each bucket costs a compilation, so it must save this share of all positions.
_MIN_SAVING = 0.03


def bucket_shapes(shapes: Sequence[Shape]) -> list[Shape]:
    """Choose the lengths that rows are padded to.

    All rows begin as one group. Each step splits one group in two, at the length of its sources or
    targets that saves the most padding. It ends with six groups, or when the next split would save
    less than 3 % of all positions or leave a part with fewer than 512 rows, which fill few batches.

    Args:
        shapes: The lengths of source and target of each training example.

    Returns:
        The lengths that each group is padded to, the smallest first.

    Example:
        >>> bucket_shapes([(3, 4), (3, 9), (8, 9)] * 512), bucket_shapes([(3, 4), (3, 9), (8, 9)])
        ([(3, 4), (3, 9), (8, 9)], [(8, 9)])
    """
    lengths = np.asarray(shapes)
    groups, min_saving = [lengths], _MIN_SAVING * _count_positions(lengths)
    while len(groups) < _MAX_BUCKETS:
        cuts = [(*_best_cut(group), index) for index, group in enumerate(groups)]
        saving, axis, length, index = max(cuts)
        if saving < max(min_saving, 1):
            break
        group = groups.pop(index)
        below = group[:, axis] <= length
        groups += [group[below], group[~below]]
    corners = {(int(source), int(target)) for source, target in (g.max(0) for g in groups)}
    return sorted(corners, key=lambda shape: (sum(shape), shape))


def _count_positions(group: np.ndarray) -> int:
    return len(group) * int(group.max(0).sum())


def _best_cut(group: np.ndarray) -> tuple[int, int, int]:
    """Return the saving, the axis and the length of the best split of a group in two."""
    best, total = (0, 0, 0), _count_positions(group)
    for axis in (0, 1):
        for length in np.unique(group[:, axis]).tolist():
            below = group[:, axis] <= length
            parts = group[below], group[~below]
            if min(map(len, parts)) >= _MIN_EXAMPLES:
                best = max(best, (total - sum(map(_count_positions, parts)), axis, length))
    return best


def make_buckets(
    splits: Mapping[str, Sequence[Encoded]],
) -> dict[str, list[dict[str, np.ndarray]]]:
    """Pad the rows of every split to lengths chosen on the training split.

    Args:
        splits: The numbers of each example. `train` decides the lengths.

    Returns:
        The buckets of each split that have rows, the smallest first: `source` int32 (n, S),
        `target` int32 (n, T) with the end token, and `example` int32 (n,), the index in the split.
        All splits share the shapes, and the last shape fits the longest example of any split.

    Example:
        >>> buckets = make_buckets({"train": [([4, 5], [6])]})["train"]
        >>> buckets[0]["source"].tolist(), buckets[0]["target"].tolist()
        ([[4, 5]], [[6, 2]])
    """
    lengths = {
        split: [(len(source), len(target) + 1) for source, target in pairs]
        for split, pairs in splits.items()
    }
    *shapes, last = bucket_shapes(lengths["train"])
    longest = np.concatenate([[last], *lengths.values()]).max(0)
    shapes = np.array([*shapes, longest])
    return {
        split: [
            _pad(pairs, rows, *shape)
            for number, shape in enumerate(shapes.tolist())
            if len(rows := np.flatnonzero(_first_fitting(lengths[split], shapes) == number))
        ]
        for split, pairs in splits.items()
    }


def _first_fitting(lengths: Sequence[Shape], shapes: np.ndarray) -> np.ndarray:
    return (np.array(lengths)[:, None] <= shapes).all(-1).argmax(-1)


def _pad(
    pairs: Sequence[Encoded], rows: np.ndarray, source_length: int, target_length: int
) -> dict[str, np.ndarray]:
    source = np.full((len(rows), source_length), PAD, np.int32)
    target = np.full((len(rows), target_length), PAD, np.int32)
    for index, row in enumerate(rows):
        source_ids, target_ids = pairs[row]
        source[index, : len(source_ids)] = source_ids
        target[index, : len(target_ids) + 1] = [*target_ids, END]
    return {"source": source, "target": target, "example": rows.astype(np.int32)}

"""Rows of numbers of a few fixed lengths, so that a compiled step meets few shapes."""

from collections.abc import Mapping, Sequence

import numpy as np

from attn_jax.tasks.translation.tokens import END, PAD

__all__ = ["Encoded", "bucket_shapes", "make_buckets"]

Encoded = tuple[list[int], list[int]]
"""The numbers of a source and of its target, without the end."""

Shape = tuple[int, int]
"""The source length and the target length of a bucket."""

_MOST = 6
_LEAST_EXAMPLES = 512
# A further bucket costs a compilation; it must save this share of all places.
_LEAST_SAVED = 0.03


def bucket_shapes(shapes: Sequence[Shape]) -> list[Shape]:
    """Chooses the lengths that rows are padded to.

    All rows begin as one group. Again and again that group is parted, at that length of its sources
    or of its targets, which saves the most padding: until there are six, the next would save under
    3 % of all places, or a part would have under 512 rows, which fill few batches.

    Args:
        shapes: The lengths of source and target of each example of the training split.

    Returns:
        What each group is padded to, the least first.

    Example:
        >>> bucket_shapes([(3, 4), (3, 9), (8, 9)] * 512), bucket_shapes([(3, 4), (3, 9), (8, 9)])
        ([(3, 4), (3, 9), (8, 9)], [(8, 9)])
    """
    lengths = np.asarray(shapes)
    groups, least = [lengths], _LEAST_SAVED * _places(lengths)
    while len(groups) < _MOST:
        cuts = [(*_best_cut(group), at) for at, group in enumerate(groups)]
        saved, axis, length, at = max(cuts)
        if saved < max(least, 1):
            break
        group = groups.pop(at)
        below = group[:, axis] <= length
        groups += [group[below], group[~below]]
    corners = {(int(source), int(target)) for source, target in (g.max(0) for g in groups)}
    return sorted(corners, key=lambda shape: (sum(shape), shape))


def _places(group: np.ndarray) -> int:
    return len(group) * int(group.max(0).sum())


def _best_cut(group: np.ndarray) -> tuple[int, int, int]:
    """What is saved, the axis and the length, of the best way to part a group in two."""
    best, all_places = (0, 0, 0), _places(group)
    for axis in (0, 1):
        for length in np.unique(group[:, axis]).tolist():
            below = group[:, axis] <= length
            parts = group[below], group[~below]
            if min(map(len, parts)) >= _LEAST_EXAMPLES:
                best = max(best, (all_places - sum(map(_places, parts)), axis, length))
    return best


def make_buckets(
    splits: Mapping[str, Sequence[Encoded]],
) -> dict[str, list[dict[str, np.ndarray]]]:
    """Pads every split's rows to the lengths that its training split suggests.

    Args:
        splits: The numbers of each example; ``train`` chooses the lengths.

    Returns:
        For each split the buckets that have rows, the least first: ``source`` int32 (n, S),
        ``target`` int32 (n, T) with the end, and ``example`` int32 (n,), the place in the split.
        The shapes are the same in all splits, and the last holds what is longest in any.

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
            if len(rows := np.flatnonzero(_first_that_holds(lengths[split], shapes) == number))
        ]
        for split, pairs in splits.items()
    }


def _first_that_holds(lengths: Sequence[Shape], shapes: np.ndarray) -> np.ndarray:
    return (np.array(lengths)[:, None] <= shapes).all(-1).argmax(-1)


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

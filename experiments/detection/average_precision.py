"""Average precision of detections, as COCO defines it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""The intersections over union at which COCO counts a detection as right."""

_RECALLS = np.linspace(0, 1, 101)


class Boxes(NamedTuple):
    """Labeled boxes of several images, one row each.

    Attributes:
        image: The number of the image, (b,).
        label: The class, (b,).
        box: `(top, left, bottom, right)`, (b, 4).
        score: How sure the detection is, (b,); not used of true boxes.
    """

    image: np.ndarray
    label: np.ndarray
    box: np.ndarray
    score: np.ndarray

    def take(self, rows: np.ndarray) -> "Boxes":
        """Return some of the rows."""
        return Boxes(*(array[rows] for array in self))


def average_precision(
    found: Boxes,
    truth: Boxes,
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    areas: tuple[float, float] = (0.0, np.inf),
) -> float:
    """Return the mean average precision over classes and thresholds.

    The detections of a class are taken in the order of their scores. Each claims the true box of
    its image and class that it overlaps most and that none before it has claimed, if the overlap
    reaches the threshold; otherwise it is wrong. The precision at a recall is the highest at that
    recall or any higher one, and the average is over 101 recalls from 0 to 1.

    Args:
        found: The detections.
        truth: The true boxes.
        thresholds: The intersections over union that count; one of 0.5 alone gives AP50.
        areas: True boxes with an area outside this range, the first included, are ignored, as are
            the detections that claim them, and those that claim none and are themselves outside.

    Returns:
        The mean over the classes that have true boxes; NaN if none has.

    References:
        Lin et al., "Microsoft COCO: Common Objects in Context", 2014, and its evaluation code's
        definition at https://cocodataset.org/#detection-eval.
    """
    values = [
        value
        for label in np.unique(truth.label)
        for value in _class_precisions(
            found.take(found.label == label), truth.take(truth.label == label), thresholds, areas
        )
    ]
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _class_precisions(
    found: Boxes, truth: Boxes, thresholds: Sequence[float], areas: tuple[float, float]
) -> list[float]:
    """Return the average precision of one class at each threshold; NaN without true boxes."""
    found = found.take(np.argsort(-found.score, kind="stable"))
    ignored = _outside(truth.box, areas)
    count = (~ignored).sum()
    if not count:
        return [float("nan")] * len(thresholds)
    overlaps = _overlaps(found, truth)
    outside = _outside(found.box, areas)
    results = []
    for threshold in thresholds:
        right, counted = _claim(overlaps, ignored, outside, threshold)
        results.append(_area_under(right[counted], count))
    return results


def _claim(
    overlaps: np.ndarray, ignored: np.ndarray, outside: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return which detections are right, and which count at all."""
    right, counted = (np.zeros(len(overlaps), bool) for _ in range(2))
    free = np.ones(overlaps.shape[1], bool)
    for row, overlap in enumerate(overlaps):
        # A box that is ignored is claimed only if no other can be.
        for candidates in (free & ~ignored, free & ignored):
            rest = np.where(candidates, overlap, -1.0)
            if rest.size and rest.max() >= threshold:
                best = int(rest.argmax())
                free[best] = False
                right[row] = counted[row] = not ignored[best]
                break
        else:
            counted[row] = not outside[row]
    return right, counted


def _area_under(right: np.ndarray, count: int) -> float:
    if not right.size:
        return 0.0
    hits = np.cumsum(right)
    precision = hits / np.arange(1, len(right) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    first = np.searchsorted(hits / count, _RECALLS - 1e-12)
    return float(np.append(best, 0.0)[first].mean())


def _outside(box: np.ndarray, areas: tuple[float, float]) -> np.ndarray:
    size = (box[:, 2:] - box[:, :2]).prod(-1)
    return (size < areas[0]) | (size >= areas[1])


def _overlaps(found: Boxes, truth: Boxes) -> np.ndarray:
    """Return the intersection over union of each pair in one image, and −1 of all others."""
    start = np.maximum(found.box[:, None, :2], truth.box[None, :, :2])
    end = np.minimum(found.box[:, None, 2:], truth.box[None, :, 2:])
    shared = np.maximum(end - start, 0).prod(-1)
    areas = [(each.box[:, 2:] - each.box[:, :2]).prod(-1) for each in (found, truth)]
    iou = shared / (areas[0][:, None] + areas[1][None] - shared)
    return np.where(found.image[:, None] == truth.image[None], iou, -1.0)

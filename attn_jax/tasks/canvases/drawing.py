"""Digits and clutter, placed at random on a canvas."""

import functools
from collections.abc import Sequence

import numpy as np

__all__ = ["INK", "box_iou", "crop", "place", "resize", "stamp", "tight_box"]

INK = 128
"""The gray level from which a pixel counts as part of a stroke."""

_TRIES = 100


def tight_box(image: np.ndarray) -> tuple[int, int, int, int]:
    """Return the smallest box around the strokes of an image.

    Args:
        image: A gray image, white on black, `(height, width)`.

    Returns:
        `(top, left, bottom, right)`, the last two one past the end; the whole image if there are no
        strokes.

    Example:
        >>> image = np.zeros((5, 7), np.uint8)
        >>> image[1:3, 2:6] = 200
        >>> tight_box(image)
        (1, 2, 3, 6)
    """
    rows, columns = (np.flatnonzero((image >= INK).any(axis)) for axis in (1, 0))
    if not rows.size:
        return (0, 0, *image.shape)
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def crop(image: np.ndarray) -> np.ndarray:
    """Return the part of an image that is in its tight box."""
    top, left, bottom, right = tight_box(image)
    return image[top:bottom, left:right]


def resize(image: np.ndarray, factor: float) -> np.ndarray:
    """Resize a gray image by a factor, at least to one pixel, by linear interpolation.

    Example:
        >>> resize(np.full((10, 4), 200, np.uint8), 1.5).shape
        (15, 6)
    """
    height, width = (max(round(side * factor), 1) for side in image.shape)
    rows = _interpolation(image.shape[0], height)
    columns = _interpolation(image.shape[1], width)
    return np.rint(rows @ image.astype(np.float32) @ columns.T).astype(np.uint8)


@functools.cache
def _interpolation(old: int, new: int) -> np.ndarray:
    """Return the matrix (new, old) that resizes an axis, with half-pixel centers."""
    centers = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    distance = np.abs(centers[:, None] - np.arange(old))
    return np.maximum(1 - distance, 0).astype(np.float32)


def box_iou(box: Sequence[int], other: Sequence[int]) -> float:
    """Return the intersection over union of two boxes `(top, left, bottom, right)`.

    Example:
        >>> box_iou((0, 0, 2, 4), (0, 2, 2, 6))
        0.3333333333333333
    """
    height = min(box[2], other[2]) - max(box[0], other[0])
    width = min(box[3], other[3]) - max(box[1], other[1])
    shared = max(height, 0) * max(width, 0)
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (box, other)]
    return shared / (sum(areas) - shared)


def place(
    sizes: Sequence[tuple[int, ...]], side: int, max_iou: float, rng: np.random.Generator
) -> np.ndarray:
    """Draw a place on a canvas for each of several rectangles.

    Args:
        sizes: The height and width of each.
        side: The side of the canvas, which has room for any one of them.
        max_iou: The largest intersection over union of two of them.
        rng: The random generator.

    Returns:
        Boxes `(top, left, bottom, right)`, integers of shape `(len(sizes), 4)`.

    Raises:
        ValueError: If there is no room for them.
    """
    for _ in range(_TRIES):
        boxes: list[tuple[int, int, int, int]] = []
        for height, width in sizes:
            corners = rng.integers(0, (side - height + 1, side - width + 1), (_TRIES, 2))
            candidates = (
                (int(row), int(column), int(row) + height, int(column) + width)
                for row, column in corners
            )
            apart = (b for b in candidates if all(box_iou(b, o) <= max_iou for o in boxes))
            box = next(apart, None)
            if box is None:
                break
            boxes.append(box)
        else:
            return np.array(boxes, np.int32).reshape(-1, 4)
    raise ValueError(
        f"side={side} leaves no room for {len(sizes)} digits that overlap by an IoU of at most "
        f"{max_iou}; draw fewer digits, or on a larger canvas."
    )


def stamp(canvas: np.ndarray, glyph: np.ndarray, box: np.ndarray) -> None:
    """Draw a glyph into its box on a canvas, in place; the brighter pixel shows."""
    top, left, bottom, right = box
    part = canvas[top:bottom, left:right]
    np.maximum(part, glyph, out=part)

"""Whether the attention of a detector's queries lies in the boxes that they found."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen as nn

from attn_jax.hooks import capture
from attn_jax.train import match_objects
from experiments.detection.average_precision import Boxes

CROSS = "layers.*.cross_attention.weights"
_BATCH = 100


class Detected(NamedTuple):
    """What a model found in images, and where it looked.

    Attributes:
        chance: The probability of each class, and last that of no object, (n, q, classes + 1).
        box: The box of each query in fractions of the sides, (n, q, 4).
        match: The query of each object by an optimal assignment, (n, m).
        weights: The mean attention of the last layer's heads, (n, q, k).
    """

    chance: Any
    box: Any
    match: Any
    weights: Any


def detect(model: nn.Module, params: Any, batch: dict[str, Any]) -> Detected:
    """Run a model on prepared images, and read the attention of its queries."""
    run, images = _runner(model), len(batch["image"])
    parts = [
        run(params, {name: array[i : i + _BATCH] for name, array in batch.items()})
        for i in range(0, images, _BATCH)
    ]
    return jax.tree.map(lambda *each: np.concatenate(each), *jax.device_get(parts))


def heads_of(model: nn.Module, params: Any, image: Any) -> np.ndarray:
    """Return the attention of each head of the last layer over one image, (h, q, k)."""
    _, captured = jax.jit(capture(model.apply, CROSS))({"params": params}, image[None])
    return np.asarray(captured[max(captured)])[0]


def found_boxes(detected: Detected) -> Boxes:
    """Return a detection for each query, of its likeliest class."""
    images, queries = detected.chance.shape[:2]
    objects = detected.chance[..., :-1]
    return Boxes(
        np.repeat(np.arange(images), queries),
        objects.argmax(-1).ravel(),
        detected.box.reshape(-1, 4),
        objects.max(-1).ravel(),
    )


def true_boxes(label: np.ndarray, box: np.ndarray) -> Boxes:
    """Return the objects that exist."""
    image, place = np.nonzero(label >= 0)
    return Boxes(image, label[image, place], box[image, place], np.ones(len(image)))


def cells_in_box(box: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Return which cells of a grid have their center in a box, row by row.

    Args:
        box: `(top, left, bottom, right)` in fractions of the sides, (..., 4).
        grid: The rows and columns of cells.

    Returns:
        Booleans, (..., rows · columns); the nearest cell alone if a box holds no center.

    Example:
        >>> cells_in_box(np.array([0.0, 0.5, 0.5, 1.0]), (2, 2)).tolist()
        [False, True, False, False]
    """
    rows, columns = ((np.arange(count) + 0.5) / count for count in grid)
    down, across = np.repeat(rows, grid[1]), np.tile(columns, grid[0])
    top, left, bottom, right = np.moveaxis(box[..., None], -2, 0)
    inside = (down >= top) & (down < bottom) & (across >= left) & (across < right)
    distance = (down - (top + bottom) / 2) ** 2 + (across - (left + right) / 2) ** 2
    nearest = np.arange(len(down)) == distance.argmin(-1)[..., None]
    return np.where(inside.any(-1, keepdims=True), inside, nearest)


def box_scores(
    detected: Detected, label: np.ndarray, box: np.ndarray, grid: tuple[int, int]
) -> dict[str, float]:
    """Score the attention of the query matched with each object.

    Returns:
        `pointing`, the share of objects whose query attends most to a cell in the box; `mass`, the
        mean weight in the box; `area`, the mean share of the cells in it, which equal weights would
        give; and `other_mass`, the weight in the boxes of other objects alone.
    """
    image, place = np.nonzero(label >= 0)
    weights = detected.weights[image, detected.match[image, place]]
    inside = cells_in_box(box, grid)
    own = inside[image, place]
    exists = np.asarray(label >= 0)
    all_boxes = np.any(inside & exists[..., None], axis=1)[image]
    return {
        "pointing": float(np.take_along_axis(own, weights.argmax(-1)[:, None], -1).mean()),
        "mass": float((weights * own).sum(-1).mean()),
        "area": float(own.mean()),
        "other_mass": float((weights * (all_boxes & ~own)).sum(-1).mean()),
    }


@functools.cache
def _runner(model: nn.Module) -> Callable[..., Detected]:
    """Build a jitted function from parameters and a batch to what is found."""

    @jax.jit
    def run(params: Any, batch: dict[str, jax.Array]) -> Detected:
        found, captured = capture(model.apply, CROSS)({"params": params}, batch["image"])
        logits, box = found.logits[-1], found.box[-1]
        last = captured[max(captured)]
        match = match_objects(logits, box, batch["label"], batch["box"])
        return Detected(jax.nn.softmax(logits), box, match, last.mean(1))

    return run

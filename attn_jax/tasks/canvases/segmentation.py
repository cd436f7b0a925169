"""Digits among other digits and clutter, with the pixels of one kind of digit marked."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from attn_jax.tasks.augment import random_shift
from attn_jax.tasks.canvases.drawing import INK, crop, place, stamp
from attn_jax.tasks.canvases.own_masks import read_masks
from attn_jax.tasks.mnist.task import Mnist

__all__ = ["PARTS", "SegmentDigits"]

PARTS = ("background", "target", "other digit", "clutter")
"""What a pixel of a canvas belongs to, by its number in `part`."""


@dataclasses.dataclass(frozen=True)
class SegmentDigits:
    """Canvases of handwritten digits and clutter, on which to find the pixels of one digit.

    A canvas holds three to five digits, each the target with probability 0.4, and pieces of other
    digits as clutter. The target's pixels are those of its strokes. A canvas may lack the target.
    With `own_images` the task is to find the pixels that masks of your own mark.

    Raises:
        ValueError: If a setting is out of its range.

    Example:
        >>> SegmentDigits(digit=7).sizes
        {}
    """

    digit: int = 3
    """The digit to find."""

    clutter: int = 12
    """The number of pieces of clutter on a canvas."""

    side: int = 64
    """The side of a canvas in pixels, at least 40."""

    train: int = 8000
    """The number of training canvases."""

    validation: int = 500
    """The number of validation canvases. Their digits are on no training canvas."""

    test: int = 1000
    """The number of test canvases, which hold MNIST's test images."""

    shift: int = 4
    """The largest random shift of a training canvas in each direction, in pixels."""

    own_images: Path | None = None
    """A folder of your own that replaces the digits: `images/` holds PNG or JPEG files of one size,
    and `masks/` a black-and-white PNG of the same name for each, white where the object is. A tenth
    is taken for validation and a tenth for testing."""

    folder: Path | None = None
    """A folder with MNIST's four idx files. None searches for MNIST as the task mnist does."""

    seed: int = 0
    """The seed for drawing the canvases."""

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        self._require("digit", 0 <= self.digit <= 9, "from 0 to 9")
        self._require("side", self.side >= 40, "at least 40, to have room for the digits")
        self._require("shift", 0 <= self.shift < self.side, "at least 0 and less than the side")
        for name in ("clutter", "seed"):
            self._require(name, getattr(self, name) >= 0, "at least 0")

    def _require(self, name: str, is_valid: bool, condition: str) -> None:
        if not is_valid:
            raise ValueError(f"{name}={getattr(self, name)} must be {condition}.")

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of a model that depend on the data: none."""
        return {}

    def load(self) -> dict[str, list[dict[str, np.ndarray]]]:
        """Draw the canvases, or read your own images.

        Returns:
            `train`, `validation` and `test`, each a list of one bucket: `image`, uint8 of
            shape (n, side, side), and `part`, uint8 of the same shape: the index of what each pixel
            belongs to in `PARTS`, 1 for the target.

        Raises:
            FileNotFoundError: If MNIST or a folder is not found.
            ValueError: If your images and masks do not fit each other.
        """
        return {split: [dict(bucket)] for split, bucket in _load(self).items()}

    def prepare(
        self, batch: Mapping[str, Array | np.ndarray], rng: PRNGKeyArray | None = None
    ) -> dict[str, Array]:
        """Scale the images to [0, 1], and shift each with its mask.

        Args:
            batch: Rows of a bucket.
            rng: The random key for the shifts; None leaves the canvases where they are.

        Returns:
            The batch with `image` in float32.
        """
        arrays = {name: jnp.asarray(array) for name, array in batch.items()}
        if rng is not None and self.shift:
            # The same key shifts an image and its parts alike.
            arrays = {name: random_shift(a, rng, self.shift) for name, a in arrays.items()}
        return {**arrays, "image": arrays["image"].astype(jnp.float32) / 255}


@functools.lru_cache(maxsize=2)
def _load(task: SegmentDigits) -> dict[str, dict[str, np.ndarray]]:
    if task.own_images is not None:
        return read_masks(task.own_images, task.seed)
    digits = Mnist(folder=task.folder).load()
    counts = {"train": task.train, "validation": task.validation, "test": task.test}
    splits = {}
    for number, (split, count) in enumerate(counts.items()):
        rng, own = np.random.default_rng([task.seed, number]), digits[split][0]
        drawn = [_draw(task, own["image"], own["label"], rng) for _ in range(count)]
        image, part = (np.stack(arrays) for arrays in zip(*drawn, strict=True))
        splits[split] = {"image": image, "part": part}
    return splits


def _draw(
    task: SegmentDigits, images: np.ndarray, labels: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one canvas: its image, and what each pixel belongs to."""
    target = np.flatnonzero(labels == task.digit)
    others = np.flatnonzero(labels != task.digit)
    image, part = (np.zeros((task.side, task.side), np.uint8) for _ in range(2))
    for _ in range(task.clutter):
        piece = _piece(images[rng.choice(others)], rng)
        _add(image, part, piece, place([piece.shape], task.side, 1.0, rng)[0], "clutter")
    is_target = rng.random(rng.integers(3, 6)) < 0.4
    glyphs = [crop(images[rng.choice(target if found else others)]) for found in is_target]
    boxes = place([glyph.shape for glyph in glyphs], task.side, 0.1, rng)
    # The target last, so that its strokes count as its own where digits overlap.
    for i in np.argsort(is_target, kind="stable"):
        _add(image, part, glyphs[i], boxes[i], "target" if is_target[i] else "other digit")
    return image, part


def _piece(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cut a square of 6 to 9 pixels out of a digit, around a pixel of its strokes."""
    half, (rows, columns) = rng.integers(3, 5), np.nonzero(image >= INK)
    i = rng.integers(len(rows))
    top, left = max(rows[i] - half, 0), max(columns[i] - half, 0)
    return image[top : rows[i] + half, left : columns[i] + half]


def _add(
    image: np.ndarray, part: np.ndarray, glyph: np.ndarray, box: np.ndarray, name: str
) -> None:
    top, left, bottom, right = box
    stamp(image, glyph, box)
    part[top:bottom, left:right][glyph >= INK] = PARTS.index(name)

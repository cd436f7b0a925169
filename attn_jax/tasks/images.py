"""Sets of small grey images: the four arrays they consist of, and what makes them fit for use.

Everywhere in this package a set is a dictionary of uint8 arrays: ``train_images`` and
``test_images`` of shape (n, 28, 28), ``train_labels`` and ``test_labels`` of shape (n,).
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from attn_jax.tasks.idx import idx_digest, read_idx

__all__ = ["IDX_FILES", "MNIST_DIGESTS", "check_images", "check_mnist", "count_classes"]
__all__ += ["read_folder"]

IDX_FILES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
"""The name of each array's idx file, before any ``.gz``."""

MNIST_DIGESTS = {
    "train_images": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train_labels": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "test_images": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "test_labels": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
"""The sha256 of each uncompressed idx file of the original MNIST."""

_IMAGE_SHAPE = (28, 28)


def read_folder(folder: Path) -> dict[str, np.ndarray]:
    """Reads the four idx files of a folder, each compressed or not.

    Args:
        folder: Holds the files named in `IDX_FILES`, with or without ``.gz``; ``train-images.idx3``
            with a dot, as some unpackers write it, is found too.

    Returns:
        The four arrays, checked by `check_images`.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is damaged, or the four do not fit each other.
    """
    arrays = {name: read_idx(_find_idx(folder, file)) for name, file in IDX_FILES.items()}
    check_images(arrays, str(folder))
    return arrays


def _find_idx(folder: Path, file: str) -> Path:
    names = [
        spelling + end for spelling in (file, file.replace("-idx", ".idx")) for end in ("", ".gz")
    ]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(
        f"{folder} holds no {names[0]} and no {names[1]}; a folder of images needs the four files "
        f"{', '.join(IDX_FILES.values())}, each with or without .gz."
    )


def check_images(arrays: Mapping[str, np.ndarray], source: str) -> None:
    """Refuses a set whose arrays do not fit each other.

    Args:
        arrays: The four arrays.
        source: What an error calls the set.

    Raises:
        ValueError: Images that are not 28×28 bytes, an empty split, more images than labels or fewer,
            or labels that are no classes of the training images.
    """
    missing = sorted(set(IDX_FILES) - set(arrays))
    if missing:
        raise ValueError(f"{source} lacks {', '.join(missing)}.")
    for split in ("train", "test"):
        images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
        _check_split(images, labels, f"{source}, {split} split")
    count = count_classes(arrays["train_labels"], source)
    highest = int(arrays["test_labels"].max())
    if highest >= count:
        raise ValueError(
            f"{source}: a test label is {highest}, and the training labels end at {count - 1}."
        )


def _check_split(images: np.ndarray, labels: np.ndarray, where: str) -> None:
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != _IMAGE_SHAPE:
        raise ValueError(
            f"{where}: images are {images.dtype} of shape {images.shape}; "
            "grey images of 28×28 are uint8 of shape (n, 28, 28)."
        )
    if labels.shape != images.shape[:1]:
        raise ValueError(f"{where}: {len(images)} images and labels of shape {labels.shape}.")
    if not len(images):
        raise ValueError(f"{where}: there are no images.")


def count_classes(labels: np.ndarray, source: str = "the labels") -> int:
    """The number of classes that training labels name, counting from 0.

    Some sets (EMNIST's letters) count from 1; the class 0 is then counted and never seen.

    Args:
        labels: Of every training image.
        source: What an error calls them.

    Returns:
        The highest label and one.

    Raises:
        ValueError: A class between the first and the last has no image, as happens when a label is
            damaged or the set is cut short.

    Example:
        >>> count_classes(np.array([2, 0, 1, 2], np.uint8))
        3
    """
    lowest, highest = int(labels.min()), int(labels.max())
    absent = sorted(set(range(lowest, highest)) - set(labels.tolist()))
    if absent or lowest > 1:
        raise ValueError(
            f"{source}: training labels run from {lowest} to {highest}, and "
            f"{'none is ' + str(absent[0]) if absent else 'should start at 0'}; "
            "labels number the classes without gaps. The file is damaged or incomplete."
        )
    return highest + 1


def check_mnist(arrays: Mapping[str, np.ndarray], source: str) -> None:
    """Refuses anything but the original MNIST, byte for byte and in its order.

    Args:
        arrays: The four arrays.
        source: What an error calls them.

    Raises:
        ValueError: The sha256 of a rebuilt idx file is not the one of the original.
    """
    check_images(arrays, source)
    for name, expected in MNIST_DIGESTS.items():
        digest = idx_digest(arrays[name])
        if digest != expected:
            raise ValueError(
                f"{source}: {name.replace('_', ' ')} are not MNIST's: their idx file has the sha256 "
                f"{digest}; expected {expected}. The data is damaged, or another set."
            )

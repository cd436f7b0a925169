"""Sets of small gray images as four arrays, and the checks that they must pass.

Everywhere in this package a set is a dictionary of four arrays: `train_images` and `test_images`,
uint8 of shape (n, 28, 28), and `train_labels` and `test_labels` of shape (n,).
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from attn_jax.tasks.idx import read_idx

__all__ = ["IDX_FILES", "IMAGE_SHAPE", "check_images", "count_classes", "read_folder"]
__all__ += ["read_folder_classes"]

IMAGE_SHAPE = (28, 28)

IDX_FILES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
"""The name of each array's idx file, before any `.gz`."""


def read_folder(folder: Path) -> dict[str, np.ndarray]:
    """Read the four idx files of a folder, each compressed or not.

    Args:
        folder: The folder of the files named in `IDX_FILES`, with or without `.gz`. Some programs
            write a dot before `idx`; those names are found too.

    Returns:
        The four arrays, checked by `check_images`.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is damaged, or the four do not fit each other.
    """
    arrays = {name: read_idx(_find_idx(folder, file)) for name, file in IDX_FILES.items()}
    check_images(arrays, str(folder))
    return arrays


def read_folder_classes(folder: Path) -> int:
    """Count the classes of a folder from its training labels alone.

    Args:
        folder: A folder as `read_folder` takes it.

    Returns:
        The number of classes, as `count_classes` returns it.

    Raises:
        FileNotFoundError: If the file of training labels is missing.
        ValueError: If it is damaged.
    """
    file = _find_idx(folder, IDX_FILES["train_labels"])
    return count_classes(read_idx(file), str(file))


def _find_idx(folder: Path, file: str) -> Path:
    spellings = (file, file.replace("-idx", ".idx"))
    for name in (spelling + end for spelling in spellings for end in ("", ".gz")):
        if (folder / name).is_file():
            return folder / name
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}.")
    raise FileNotFoundError(
        f"{folder} holds no {file} and no {file}.gz; a folder of images needs the four files "
        f"{', '.join(IDX_FILES.values())}, each with or without .gz."
    )


def check_images(arrays: Mapping[str, np.ndarray], source: str) -> None:
    """Refuse a set whose arrays do not fit each other.

    Args:
        arrays: The four arrays.
        source: The name of the set in errors.

    Raises:
        ValueError: If images are not 28×28 bytes, a split is empty, the numbers of images and
            labels differ, or a test label is no class of the training images.
    """
    missing = sorted(set(IDX_FILES) - set(arrays))
    if missing:
        raise ValueError(f"{source} lacks {', '.join(missing)}.")
    for split in ("train", "test"):
        _check_split(arrays[f"{split}_images"], arrays[f"{split}_labels"], f"{source}, {split}")
    highest = count_classes(arrays["train_labels"], source) - 1
    test_labels = arrays["test_labels"]
    if test_labels.min() < 0 or test_labels.max() > highest:
        raise ValueError(
            f"{source}: test labels run from {test_labels.min()} to {test_labels.max()}, and the "
            f"training labels end at {highest}. The file is damaged or belongs to another set."
        )


def _check_split(images: np.ndarray, labels: np.ndarray, where: str) -> None:
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != IMAGE_SHAPE:
        raise ValueError(
            f"{where}: images are {images.dtype} of shape {images.shape}; "
            "they must be gray images, uint8 of shape (n, 28, 28)."
        )
    if labels.shape != images.shape[:1]:
        raise ValueError(
            f"{where}: {len(images)} images and labels of shape {labels.shape}; each image needs "
            "one label."
        )
    if not len(images):
        raise ValueError(f"{where}: there are no images; the file is empty or cut short.")


def count_classes(labels: np.ndarray, source: str = "the set") -> int:
    """Count the classes of training labels, from 0 to the highest.

    The labels of some sets (EMNIST's letters) start at 1; class 0 then counts but has no images.

    Args:
        labels: The label of every training image.
        source: The name of the labels in errors.

    Returns:
        The highest label plus one.

    Raises:
        ValueError: If a class between the first and the last has no image, as happens when a label
            is damaged or the set is cut short.

    Example:
        >>> count_classes(np.array([2, 0, 1, 2], np.uint8))
        3
    """
    lowest, highest = int(labels.min()), int(labels.max())
    absent = sorted(set(range(lowest, highest)) - set(labels.tolist()))
    if absent or lowest not in (0, 1):
        gap = f"none is {absent[0]}" if absent else "they should start at 0"
        raise ValueError(
            f"{source}: training labels run from {lowest} to {highest}, and {gap}; labels number "
            "the classes without gaps. The file is damaged or incomplete."
        )
    return highest + 1

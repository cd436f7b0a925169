"""Gray 28×28 images from TensorFlow Datasets (TFDS), read without TensorFlow."""

from typing import Any

import numpy as np

from attn_jax.tasks.images import IMAGE_SHAPE, check_images
from attn_jax.tasks.tfds_sets import open_builder, prepare_builder, read_examples

__all__ = ["count_tfds_classes", "read_tfds"]


def read_tfds(name: str) -> dict[str, np.ndarray]:
    """Read a set by its name in TFDS.

    Args:
        name: The name, such as `fashion_mnist`, `emnist/letters` or `kmnist:3.0.1`.

    Returns:
        The four arrays, checked by `check_images`, in the order in which TFDS stored them.

    Raises:
        FileNotFoundError: If TFDS knows no such set, or the set is not prepared and cannot be.
        ValueError: If its examples are not gray 28×28 images with a label, or a file is damaged.
    """
    builder = _find_builder(name)
    prepare_builder(builder, name, "name a folder of its four idx files with --task.folder")
    arrays = {}
    for split in ("train", "test"):
        arrays[f"{split}_images"], arrays[f"{split}_labels"] = _read_split(builder, split, name)
    check_images(arrays, f"TFDS {name}")
    return arrays


def count_tfds_classes(name: str) -> int:
    """Count the classes of a set from its description alone.

    Args:
        name: A name as `read_tfds` takes it.

    Returns:
        The number of classes of its label feature.

    Raises:
        FileNotFoundError: If TFDS knows no such set.
        ValueError: If its examples are not gray 28×28 images with a class label.
    """
    return _find_builder(name).info.features["label"].num_classes


def _find_builder(name: str) -> Any:
    builder = open_builder(name)
    _check_features(builder.info.features or {}, name)
    return builder


def _check_features(features: Any, name: str) -> None:
    if not {"image", "label"} <= set(features) or not hasattr(features["label"], "num_classes"):
        raise ValueError(
            f"TFDS {name} has the features {dict(features)}; an image classification set has an "
            "'image' and a 'label', which is a ClassLabel."
        )
    shape = tuple(features["image"].shape)
    if shape not in {(*IMAGE_SHAPE, 1), IMAGE_SHAPE}:
        raise ValueError(
            f"TFDS {name} has images of shape {shape}; this task takes gray images of (28, 28, 1)."
        )


def _read_split(builder: Any, split: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    examples = read_examples(builder, split, name)
    images = np.stack([example["image"] for example in examples]).reshape(-1, 28, 28)
    labels = np.array([example["label"] for example in examples])
    return images, labels

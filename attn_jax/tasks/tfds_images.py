"""Gray 28×28 images from TensorFlow Datasets (TFDS), read without TensorFlow."""

from typing import Any

import numpy as np

from attn_jax.tasks.images import IMAGE_SHAPE, check_images
from attn_jax.tasks.tfds_sets import open_builder, open_source, prepare_builder, read_examples

__all__ = ["ImageRecords", "count_tfds_classes", "open_tfds", "read_tfds"]

_OTHERWISE = "name a folder of its four idx files with --task.folder"


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
    prepare_builder(builder, name, _OTHERWISE)
    arrays = {}
    for split in ("train", "test"):
        arrays[f"{split}_images"], arrays[f"{split}_labels"] = _read_split(builder, split, name)
    check_images(arrays, f"TFDS {name}")
    return arrays


class ImageRecords:
    """Images of a prepared set that are read one by one.

    Args:
        source: A source of TFDS.
        rows: The numbers of the examples.
        name: The name of the set in errors.
    """

    def __init__(self, source: Any, rows: range, name: str):
        self._source, self._rows, self._name = source, rows, name

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._rows)

    def __getitem__(self, index: int, /) -> dict[str, np.ndarray]:
        """Return an image, uint8 of shape (28, 28), and its label, int32.

        Args:
            index: The number of the example, from 0.

        Returns:
            The arrays `image` and `label`.

        Raises:
            ValueError: If its file is damaged.
        """
        try:
            example = self._source[self._rows[index]]
        except IndexError:
            raise
        except (
            Exception
        ) as error:  # For damaged files its readers raise errors of several libraries.
            raise ValueError(f"TFDS {self._name} is damaged at example {index}: {error}") from error
        label = np.asarray(example["label"], np.int32)
        return {"image": np.asarray(example["image"]).reshape(IMAGE_SHAPE), "label": label}


def open_tfds(name: str) -> tuple[Any, Any]:
    """Open a set by its name in TFDS, to read its examples one by one.

    Args:
        name: The name, as for `read_tfds`.

    Returns:
        The sources of its training and test examples.

    Raises:
        FileNotFoundError: If TFDS knows no such set, or the set is not prepared and cannot be.
        ValueError: If its examples are not gray 28×28 images with a label, or cannot be read.
    """
    builder = _find_builder(name)
    prepare_builder(builder, name, _OTHERWISE)
    train, test = (open_source(builder, split, name) for split in ("train", "test"))
    return train, test


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

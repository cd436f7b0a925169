"""The digests of MNIST's original files, and of their images in any order."""

import hashlib
from collections.abc import Mapping

import numpy as np

from attn_jax.tasks.idx import idx_digest

__all__ = ["MNIST_DIGESTS", "check_mnist", "check_shuffled_mnist", "is_mnist"]

MNIST_DIGESTS = {
    "train_images": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train_labels": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "test_images": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "test_labels": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
"""The sha256 of each uncompressed idx file of the original MNIST."""

SHUFFLED_DIGESTS = {
    "train": "386a0fff07efe9ae3f934853780556ca1fe630371d4964508a3e3256c2063b0e",
    "test": "292a2c8e9008782f6c6c94df46012a17c808c2666413d175e62502bbcf68dd61",
}
"""The sha256 of each split's records, an image's 784 bytes and its label, sorted as bytes."""


def is_mnist(arrays: Mapping[str, np.ndarray]) -> bool:
    """Return whether four arrays are the original MNIST, byte for byte and in its order.

    Args:
        arrays: The four arrays, with uint8 labels.

    Returns:
        True if each has the digest of the original file.
    """
    return all(idx_digest(arrays[name]) == digest for name, digest in MNIST_DIGESTS.items())


def check_mnist(arrays: Mapping[str, np.ndarray], source: str) -> None:
    """Refuse anything but the original MNIST, byte for byte and in its order.

    Args:
        arrays: The four arrays.
        source: The name of the arrays in errors.

    Raises:
        ValueError: If an array is missing, or its idx file would have another sha256.
    """
    for name, expected in MNIST_DIGESTS.items():
        digest = idx_digest(arrays[name]) if name in arrays else "nothing"
        if digest != expected:
            raise ValueError(
                f"{source}: {name.replace('_', ' ')} are not MNIST's; the sha256 of their idx file "
                f"is {digest}, expected {expected}. The data is damaged, or it is another set, "
                "which needs a dataset name other than mnist."
            )


def check_shuffled_mnist(arrays: Mapping[str, np.ndarray], source: str) -> None:
    """Refuse anything but the images and labels of MNIST, in whatever order.

    Args:
        arrays: The four arrays, with uint8 labels.
        source: The name of the arrays in errors.

    Raises:
        ValueError: If an image or a label is missing or is not MNIST's.
    """
    for split, expected in SHUFFLED_DIGESTS.items():
        digest = _sorted_digest(arrays[f"{split}_images"], arrays[f"{split}_labels"])
        if digest != expected:
            raise ValueError(
                f"{source}: its {split} split is not MNIST's in any order; the sha256 of its "
                f"sorted records is {digest}, expected {expected}. Prepare the set again."
            )


def _sorted_digest(images: np.ndarray, labels: np.ndarray) -> str:
    records = np.concatenate([images.reshape(len(images), -1), labels[:, None]], axis=1)
    return hashlib.sha256(b"".join(sorted(record.tobytes() for record in records))).hexdigest()

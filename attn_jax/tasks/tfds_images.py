"""Sets of grey 28×28 images read through TensorFlow Datasets (TFDS), without TensorFlow.

A set that was prepared in a format of random access (``array_record`` or ``parquet``) is read as it
is. One that was not is downloaded and prepared first, which its builder can only do where
TensorFlow is installed. TFDS takes seconds to import, so it is imported where it is used.
"""

import difflib
import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np

from attn_jax.tasks.images import IMAGE_SHAPE, check_images

__all__ = ["count_tfds_classes", "prepared_folder", "read_tfds", "tfds_folder"]

_BATCH = 4096


def tfds_folder() -> Path:
    """The folder in which TFDS keeps prepared sets.

    Returns:
        ``$TFDS_DATA_DIR`` where that is set, else ``~/tensorflow_datasets``.
    """
    return Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def prepared_folder(name: str) -> Path | None:
    """Finds a prepared set without importing TFDS.

    Args:
        name: The set's name in TFDS, as ``mnist``, ``emnist/letters`` or ``kmnist:3.0.1``.

    Returns:
        The folder of the version named, else of the latest; None if there is none.
    """
    name, _, version = name.partition(":")
    found = [info.parent for info in (tfds_folder() / name).glob("*.*.*/dataset_info.json")]
    numbered = [
        (tuple(map(int, folder.name.split("."))), folder)
        for folder in found
        if folder.name.replace(".", "").isdigit() and version in ("", folder.name)
    ]
    return max(numbered)[1] if numbered else None


def read_tfds(name: str) -> dict[str, np.ndarray]:
    """Reads a set by the name that TFDS knows it by.

    Args:
        name: As ``fashion_mnist``, ``emnist/letters`` or ``kmnist:3.0.1``.

    Returns:
        The four arrays, checked by `check_images`, in the order that TFDS stored them in.

    Raises:
        FileNotFoundError: TFDS knows no such set, or it is not prepared and cannot be.
        ValueError: Its examples are not grey 28×28 images with a label, or its files are damaged.
    """
    builder = _find_builder(name)
    if not builder.is_prepared():
        _prepare(builder, name)
    arrays = {}
    for split in ("train", "test"):
        arrays[f"{split}_images"], arrays[f"{split}_labels"] = _read_split(builder, split, name)
    check_images(arrays, f"TFDS {name}")
    return arrays


def count_tfds_classes(name: str) -> int:
    """The number of classes of a set, read from its description alone.

    Args:
        name: As `read_tfds` takes it.

    Returns:
        The number that its label feature states.

    Raises:
        FileNotFoundError: TFDS knows no such set.
        ValueError: Its examples are not grey 28×28 images with a label out of so many classes.
    """
    return _find_builder(name).info.features["label"].num_classes


def _find_builder(name: str) -> Any:
    builder = _open_builder(name)
    _check_features(builder.info.features or {}, name)
    return builder


def _open_builder(name: str) -> Any:
    import tensorflow_datasets as tfds

    folder = prepared_folder(name)
    if folder is not None:
        return tfds.builder_from_directory(folder)
    known = tfds.list_builders(with_community_datasets=False)
    base = name.partition(":")[0].partition("/")[0]
    if base not in known:
        near = difflib.get_close_matches(base, known, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "tfds.list_builders() lists them."
        raise FileNotFoundError(
            f"TFDS knows no set {name!r}, and none is prepared in {tfds_folder()}; {hint}"
        )
    try:
        return tfds.builder(name, data_dir=tfds_folder())
    except (AssertionError, ValueError) as error:
        forms = ", ".join(tfds.builder_cls(base).builder_configs) or "none"
        raise FileNotFoundError(
            f"TFDS has no set {name!r}: {error} The forms of {base} are: {forms}."
        ) from error


def _check_features(features: Any, name: str) -> None:
    if not {"image", "label"} <= set(features) or not hasattr(features["label"], "num_classes"):
        raise ValueError(
            f"TFDS {name} has the features {dict(features)}; an image classification set has an "
            "'image' and a 'label', which is a ClassLabel."
        )
    shape = tuple(features["image"].shape)
    if shape not in {(*IMAGE_SHAPE, 1), IMAGE_SHAPE}:
        raise ValueError(
            f"TFDS {name} has images of shape {shape}; this task takes grey ones of (28, 28, 1)."
        )


def _prepare(builder: Any, name: str) -> None:
    remedy = (
        "Prepare it where TensorFlow is, with tfds.builder("
        f"{name!r}).download_and_prepare(file_format='array_record'), and copy its folder to "
        f"{tfds_folder()}; or name a folder of its four idx files with --task.folder."
    )
    # Without TensorFlow it would fail only after the download, or offline after minutes of retries.
    stock = type(builder).__module__.startswith("tensorflow_datasets.")
    if stock and importlib.util.find_spec("tensorflow") is None:
        raise FileNotFoundError(
            f"TFDS {name} is not prepared in {tfds_folder()}, and its builder needs TensorFlow to "
            f"prepare it, which is not installed. {remedy}"
        )
    try:
        builder.download_and_prepare(file_format="array_record")
    except Exception as error:  # A builder may raise whatever its own code and downloads raise.
        raise FileNotFoundError(f"TFDS {name} cannot be prepared: {error}. {remedy}") from error


def _read_split(builder: Any, split: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    if split not in builder.info.splits:
        raise ValueError(f"TFDS {name} has no split {split!r}, only {sorted(builder.info.splits)}.")
    try:
        source = builder.as_data_source(split)
        examples = [example for batch in _batches(source) for example in batch]
    except NotImplementedError as error:
        raise ValueError(
            f"TFDS {name} was prepared as {builder.info.file_format.value}, which cannot be read "
            "without TensorFlow; prepare it with file_format='array_record'."
        ) from error
    except Exception as error:  # Its readers raise errors of several libraries for damaged files.
        raise ValueError(f"TFDS {name} in {builder.data_dir} is damaged: {error}") from error
    images = np.stack([example["image"] for example in examples]).reshape(-1, 28, 28)
    labels = np.array([example["label"] for example in examples])
    return images, labels


def _batches(source: Any) -> Any:
    for start in range(0, len(source), _BATCH):
        yield source.__getitems__(range(start, min(start + _BATCH, len(source))))

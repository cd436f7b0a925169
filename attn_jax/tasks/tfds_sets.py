"""Sets of TensorFlow Datasets (TFDS), found, prepared and read without TensorFlow.

A set that was prepared in a format with random access (`array_record` or `parquet`) is read as it
is. Any other set is downloaded and prepared first, which its builder can do only where TensorFlow
is installed. TFDS takes seconds to import, so it is imported where it is used.
"""

import difflib
import importlib.util
import os
from pathlib import Path
from typing import Any

from attn_jax._extras import require
from attn_jax.tasks.tfds_features import check_feature_classes

__all__ = ["open_builder", "open_source", "prepare_builder", "prepared_folder", "read_examples"]
__all__ += ["tfds_folder"]

_BATCH = 4096


def tfds_folder() -> Path:
    """Return the folder in which TFDS keeps prepared sets.

    Returns:
        `$TFDS_DATA_DIR` where that is set, else `~/tensorflow_datasets`.
    """
    return Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def prepared_folder(name: str, root: Path | None = None) -> Path | None:
    """Find a prepared set without importing TFDS.

    Args:
        name: The set's name in TFDS, such as `mnist`, `emnist/letters` or `kmnist:3.0.1`.
        root: The folder of prepared sets. None is `tfds_folder()`.

    Returns:
        The folder of the version named, else of the latest, or None if there is none.

    Raises:
        ValueError: If the name leads out of the folder of prepared sets.
    """
    name, _, version = name.partition(":")
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError(
            f"{name!r} is a path, not the name of a set such as emnist/letters; give the folder of "
            "prepared sets by folder=, or TFDS_DATA_DIR."
        )
    folders = [
        info.parent for info in ((root or tfds_folder()) / name).glob("*.*.*/dataset_info.json")
    ]
    numbered = [
        (tuple(map(int, folder.name.split("."))), folder)
        for folder in folders
        if folder.name.replace(".", "").isdigit() and version in ("", folder.name)
    ]
    return max(numbered)[1] if numbered else None


def open_builder(name: str, root: Path | None = None) -> Any:
    """Find the builder of a set, prepared or not.

    Args:
        name: The name, such as `fashion_mnist`, `emnist/letters` or `kmnist:3.0.1`.
        root: The folder of prepared sets. None is `tfds_folder()`.

    Returns:
        TFDS's builder.

    Raises:
        FileNotFoundError: If TFDS knows no such set.
        ValueError: If the prepared set is damaged, or has features of other classes than TFDS's.
    """
    require("tensorflow_datasets", "array_record", extra="data")
    import tensorflow_datasets as tfds

    folder = prepared_folder(name, root)
    if folder is not None:
        check_feature_classes(folder)
        try:
            return tfds.builder_from_directory(folder)
        except Exception as error:  # Damaged files raise errors of TFDS and of protocol buffers.
            raise ValueError(f"TFDS {name} in {folder} is damaged: {error}") from error
    names = tfds.list_builders(with_community_datasets=False)
    base = name.partition(":")[0].partition("/")[0]
    if base not in names:
        near = difflib.get_close_matches(base, names, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "tfds.list_builders() lists them."
        raise FileNotFoundError(
            f"TFDS knows no set {name!r}, and none is prepared in {root or tfds_folder()}; {hint}"
        )
    try:
        return tfds.builder(name, data_dir=root or tfds_folder())
    except (AssertionError, ValueError) as error:
        forms = ", ".join(tfds.builder_cls(base).builder_configs) or "none"
        raise FileNotFoundError(
            f"TFDS has no set {name!r}: {error} The forms of {base} are: {forms}."
        ) from error


def prepare_builder(builder: Any, name: str, otherwise: str) -> None:
    """Download and prepare a set, unless it is prepared already.

    Args:
        builder: TFDS's builder.
        name: The name of the set in errors.
        otherwise: The way out without TFDS, as the end of a sentence.

    Raises:
        FileNotFoundError: If it cannot be prepared here.
    """
    if builder.is_prepared():
        return
    remedy = (
        "Prepare it where TensorFlow is, with tfds.builder("
        f"{name!r}).download_and_prepare(file_format='array_record'), and copy its folder to "
        f"{tfds_folder()}; or {otherwise}."
    )
    # Without TensorFlow it fails only after the download or, offline, after minutes of retries.
    stock = type(builder).__module__.startswith("tensorflow_datasets.")
    if stock and importlib.util.find_spec("tensorflow") is None:
        raise FileNotFoundError(
            f"TFDS {name} is not prepared in {tfds_folder()}, and its builder needs TensorFlow to "
            f"prepare it, which is not installed. {remedy}"
        )
    try:
        builder.download_and_prepare(file_format="array_record")
    except Exception as error:  # A builder raises the errors of its own code and of its downloads.
        raise FileNotFoundError(f"TFDS {name} cannot be prepared: {error}. {remedy}") from error


def open_source(builder: Any, split: str, name: str) -> Any:
    """Open a split of a prepared set, whose examples can then be read in any order.

    Args:
        builder: TFDS's builder.
        split: The name of the split, such as `train`.
        name: The name of the set in errors.

    Returns:
        TFDS's source: its length, and its examples by their numbers.

    Raises:
        ValueError: If there is no such split, or its files are damaged or need TensorFlow.
    """
    if split not in builder.info.splits:
        raise ValueError(f"TFDS {name} has no split {split!r}, only {sorted(builder.info.splits)}.")
    try:
        return builder.as_data_source(split)
    except NotImplementedError as error:
        raise ValueError(
            f"TFDS {name} was prepared as {builder.info.file_format.value}, which cannot be read "
            "without TensorFlow; prepare it with file_format='array_record'."
        ) from error
    except Exception as error:  # For damaged files its readers raise errors of several libraries.
        raise ValueError(f"TFDS {name} in {builder.data_dir} is damaged: {error}") from error


def read_examples(builder: Any, split: str, name: str) -> list[dict[str, Any]]:
    """Read a split of a prepared set, in the order in which TFDS stored it.

    Args:
        builder: TFDS's builder.
        split: The name of the split, such as `train`.
        name: The name of the set in errors.

    Returns:
        The examples as TFDS decodes them.

    Raises:
        ValueError: If there is no such split, or its files are damaged or need TensorFlow.
    """
    source = open_source(builder, split, name)
    try:
        return [example for batch in _batches(source) for example in batch]
    except Exception as error:  # For damaged files its readers raise errors of several libraries.
        raise ValueError(f"TFDS {name} in {builder.data_dir} is damaged: {error}") from error


def _batches(source: Any) -> Any:
    for start in range(0, len(source), _BATCH):
        yield source.__getitems__(range(start, min(start + _BATCH, len(source))))

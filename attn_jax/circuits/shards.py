"""Files of values: one batch in safetensors of limited size."""

import contextlib
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Array

_AGAIN = "call record again with the same arguments, which records its batch anew"


def import_safetensors() -> Any:
    """Return the package safetensors, which is imported only here.

    Raises:
        ImportError: If it is missing.
    """
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            "recordings need the package safetensors: pip install 'attn-jax[hub]'."
        ) from error
    return safetensors


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Replace a file, which is at any time the old one or the new one, whole.

    Yields:
        A path beside it to write the new file to.
    """
    draft = path.with_name(path.name + ".part")
    yield draft
    with draft.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(draft, path)


def write_shards(
    folder: Path, number: int, values: dict[str, Array], shard_bytes: int
) -> dict[str, dict[str, Any]]:
    """Write the values of a batch into files.

    Args:
        folder: The folder.
        number: The number of the batch.
        values: The values.
        shard_bytes: The most bytes of values that a file holds.

    Returns:
        The files of each value, with the checksum of the piece in each and the axis along which
        pieces are joined.

    Raises:
        ValueError: If a value cannot be cut into pieces that small.
    """
    save = import_safetensors().numpy.save_file
    entries: dict[str, dict[str, Any]] = {}
    for i, shard in enumerate(_shards(values, shard_bytes)):
        path = folder / f"{number:06}-{i:03}.safetensors"
        with replacing(path) as draft:
            save(shard, draft)
        for name, piece in shard.items():
            entry = {"split": _split_axis(values[name].shape), "pieces": []}
            entries.setdefault(name, entry)["pieces"].append((path.name, _checksum(piece)))
    return entries


def _shards(values: dict[str, Array], limit: int) -> Iterator[dict[str, np.ndarray]]:
    """Yield the values, in pieces where they are larger than a file may be."""
    shard, size = {}, 0
    for name, value in values.items():
        for piece in _pieces(name, np.asarray(value), limit):
            if shard and size + piece.nbytes > limit:
                yield shard
                shard, size = {}, 0
            shard[name] = piece
            size += piece.nbytes
    yield shard


def _pieces(name: str, value: np.ndarray, limit: int) -> Iterator[np.ndarray]:
    if value.nbytes <= limit:
        yield np.ascontiguousarray(value)
        return
    axis = _split_axis(value.shape)
    row = value.nbytes // value.shape[axis]
    if row > limit:
        raise ValueError(
            f"shard_bytes={limit} is too small for {name!r} of shape {list(value.shape)}, which "
            f"can be cut into pieces of {row} bytes."
        )
    rows = limit // row
    for start in range(0, value.shape[axis], rows):
        yield np.ascontiguousarray(value[(slice(None),) * axis + (slice(start, start + rows),)])


def _split_axis(shape: tuple[int, ...]) -> int:
    """Return the axis that a large value is cut along: the longest."""
    return int(np.argmax(shape))


def open_shard(path: Path) -> Any:
    """Open a file of values, of which nothing but its header is read.

    Raises:
        ValueError: If it is missing or shorter than it states.
    """
    safetensors = import_safetensors()
    try:
        return safetensors.safe_open(path, framework="numpy")
    except FileNotFoundError as error:
        raise ValueError(f"{path} is missing; {_AGAIN}.") from error
    except (safetensors.SafetensorError, OSError) as error:
        raise ValueError(f"{path} is damaged: {error}; delete it, and {_AGAIN}.") from error


def read_piece(path: Path, name: str, crc: int) -> np.ndarray:
    """Return what a file holds of a value.

    Raises:
        ValueError: If the file is missing, or its bytes have changed.
    """
    with open_shard(path) as file:
        try:
            array = file.get_tensor(name)
        except Exception as error:  # what a damaged file raises is not documented
            raise ValueError(f"{path} is damaged: {error}; delete it, and {_AGAIN}.") from error
    if _checksum(array) != crc:
        raise ValueError(
            f"{path} is damaged: the bytes of {name!r} have changed; delete it, and {_AGAIN}."
        )
    return array


def _checksum(array: np.ndarray) -> int:
    """Return the CRC-32 of the bytes of an array without gaps."""
    return zlib.crc32(array.reshape(-1).view(np.uint8).data)

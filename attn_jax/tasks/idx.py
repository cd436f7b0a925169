"""The idx format of the MNIST files: a magic number, the sizes, then the bytes, row by row.

The magic number is two zero bytes, the type of the numbers (8: unsigned bytes) and the number of
axes; each size is a big-endian 32-bit integer. A file may be compressed by gzip, whatever its name.

References:
    The MNIST database, LeCun, Cortes and Burges, "File formats".
"""

import gzip
import hashlib
import math
import zlib
from pathlib import Path

import numpy as np

from attn_jax.tasks.signatures import GZIP, describe_content

__all__ = ["decode_idx", "encode_idx", "idx_digest", "read_idx"]

UNSIGNED_BYTE = 8

_TYPES = {9: "int8", 11: "int16", 12: "int32", 13: "float32", 14: "float64"}


def read_idx(path: Path) -> np.ndarray:
    """Read an idx file of unsigned bytes, compressed by gzip or not.

    The content says whether it is compressed: browsers unpack a file and leave its name ending in
    `.gz`, and other programs do the reverse.

    Args:
        path: The file.

    Returns:
        The uint8 array it holds.

    Raises:
        ValueError: If the file is truncated, damaged or of another kind; the message names it.
    """
    content = path.read_bytes()
    if content.startswith(GZIP):
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(
                f"{path} is a gzip file that is truncated or damaged ({error}); fetch it again."
            ) from error
    return decode_idx(content, str(path))


def decode_idx(content: bytes, name: str = "the idx stream") -> np.ndarray:
    """Read the array in the bytes of an idx file.

    Args:
        content: The header and the bytes after it.
        name: The name of the file in errors.

    Returns:
        The uint8 array, with as many axes as the header says.

    Raises:
        ValueError: If the magic number is wrong, or the header announces another number of bytes.

    Example:
        >>> decode_idx(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
        array([7, 2, 1], dtype=uint8)
    """
    axes = content[3] if len(content) > 3 else 0
    start = 4 + 4 * axes
    if content[:3] != bytes([0, 0, UNSIGNED_BYTE]) or not axes or len(content) < start:
        raise ValueError(
            f"{name} starts with 0x{content[:4].hex()}, but an idx file of unsigned bytes "
            f"starts with 0x000008 and its number of axes; {_diagnosis(content)}"
        )
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", count=axes, offset=4))
    expected = math.prod(shape)
    if len(content) - start != expected:
        raise ValueError(
            f"{name} announces {expected} bytes of shape {shape} and holds "
            f"{len(content) - start}; it is truncated or damaged: fetch it again."
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _diagnosis(content: bytes) -> str:
    """Say what the bytes are instead, and the way out."""
    if not content:
        return "the file is empty: fetch it again."
    kind = describe_content(content)
    if kind:
        return f"the file is {kind}. The idx file itself is needed, plain or as gzip."
    dtype = _TYPES.get(content[2]) if content[:2] == bytes(2) and len(content) > 2 else None
    if dtype:
        return f"it is an idx file of {dtype}: convert its numbers to unsigned bytes."
    return "it is truncated or another kind of file: fetch it again."


def encode_idx(array: np.ndarray) -> bytes:
    """Write an array of unsigned bytes as an idx file.

    Args:
        array: Any uint8 array.

    Returns:
        The header and the bytes, uncompressed.

    Example:
        >>> encode_idx(np.array([7, 2, 1], np.uint8)).hex(" ")
        '00 00 08 01 00 00 00 03 07 02 01'
    """
    return _header(array) + array.tobytes()


def idx_digest(array: np.ndarray) -> str:
    """Return the sha256 of the idx file that holds an array, without writing one.

    Args:
        array: Any uint8 array.

    Returns:
        64 hexadecimal digits.

    Example:
        >>> idx_digest(np.zeros((3,), np.uint8))[:8]
        'c51ace58'
    """
    digest = hashlib.sha256(_header(array))
    digest.update(array.tobytes())
    return digest.hexdigest()


def _header(array: np.ndarray) -> bytes:
    if array.dtype != np.uint8:
        raise ValueError(f"idx files here hold unsigned bytes; the array is {array.dtype}.")
    return bytes([0, 0, UNSIGNED_BYTE, array.ndim]) + np.array(array.shape, ">u4").tobytes()

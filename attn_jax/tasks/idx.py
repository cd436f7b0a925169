"""The idx format of the MNIST files: a magic number, the sizes, then the bytes, row by row.

The magic number is two zero bytes, the type of the numbers (8: unsigned bytes) and the number of
axes; each size is a big-endian 32-bit integer. A file may be compressed by gzip (``.gz``).

References:
    The MNIST database, LeCun, Cortes and Burges, "File formats".
"""

import gzip
import hashlib
import zlib
from pathlib import Path

import numpy as np

__all__ = ["decode_idx", "encode_idx", "idx_digest", "read_idx"]

UNSIGNED_BYTE = 8


def read_idx(path: Path) -> np.ndarray:
    """Reads an idx file of unsigned bytes, compressed or not.

    Args:
        path: The file; one whose name ends in ``.gz`` is decompressed.

    Returns:
        The uint8 array it holds.

    Raises:
        ValueError: The file is truncated, damaged or no idx file; the message names it.
    """
    content = path.read_bytes()
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(
                f"{path} is truncated or damaged ({error}); fetch the file again."
            ) from error
    return decode_idx(content, str(path))


def decode_idx(content: bytes, name: str = "the idx stream") -> np.ndarray:
    """Reads the array in the bytes of an idx file.

    Args:
        content: Header and bytes.
        name: What an error calls the file.

    Returns:
        The uint8 array, with as many axes as the header says.

    Raises:
        ValueError: A wrong magic number, or more or fewer bytes than the header announces.

    Example:
        >>> decode_idx(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
        array([7, 2, 1], dtype=uint8)
    """
    axes = content[3] if len(content) > 3 else 0
    start = 4 + 4 * axes
    if content[:3] != bytes([0, 0, UNSIGNED_BYTE]) or not axes or len(content) < start:
        raise ValueError(
            f"{name} starts with 0x{content[:4].hex()}, where an idx file of unsigned bytes "
            "starts with 0x000008 and its number of axes; it is truncated or another kind of file."
        )
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", count=axes, offset=4))
    expected = int(np.prod(shape, dtype=np.int64))
    if len(content) - start != expected:
        raise ValueError(
            f"{name} announces {expected} bytes of shape {shape} and holds "
            f"{len(content) - start}; it is truncated or damaged: fetch it again."
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def encode_idx(array: np.ndarray) -> bytes:
    """Writes an array of unsigned bytes as an idx file.

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
    """The sha256 of the idx file that holds an array, without writing one.

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

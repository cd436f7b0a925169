"""Arrays as text for the page: eight bits per weight, the largest exact, compressed, in base64."""

import base64
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

# A power of two, so that a row's scale, its largest weight over this, is exact in float32. Rounding
# to the nearest of these levels is off by at most 1/256 of the row's largest weight.
LEVELS = 128
THUMB = 32
# Of the 16-bit codes, the last but one is the largest number of a line, the last a missing one.
_MAX_CODE = 65534


def text(*parts: bytes, repeats: bool = False) -> str:
    """Compress the parts as one stream and return it in base64.

    Args:
        *parts: Bytes to compress.
        repeats: Whether to search for repeats of more than one byte, which takes most of the time
            and pays off when the rows of a map are alike.

    Returns:
        The text.
    """
    strategies = (zlib.Z_RLE, zlib.Z_DEFAULT_STRATEGY)[: 1 + repeats]
    packed = min((_packed(parts, strategy) for strategy in strategies), key=len)
    return base64.b64encode(packed).decode("ascii")


def _packed(parts: Sequence[bytes], strategy: int) -> bytes:
    stream = zlib.compressobj(6, zlib.DEFLATED, 15, 9, strategy)
    return b"".join([*(stream.compress(part) for part in parts), stream.flush()])


def planes(values: NDArray) -> bytes:
    """Return the first bytes of all values, then their second bytes, and so on.

    Bytes of the same significance are adjacent, which compresses better.
    """
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    return little.reshape(-1, 1).view(np.uint8).T.tobytes()


def encode_map(weights: NDArray[np.float32], top_k: int) -> str:
    """Encode a map, each row relative to its largest weight.

    The first stream has one bit per weight: whether its code is not zero. The second, after a
    comma, has the nonzero codes, then the `top_k` largest weights of each row, exact and in
    descending order, then their keys. A key is given by its rank among the keys of the row sorted
    by code: mostly 0, 1, 2 …, which compresses to almost nothing.

    Args:
        weights: `(queries, keys)`, not negative.
        top_k: Number of weights of each row to store exactly, at most the number of keys.

    Returns:
        The text.
    """
    largest, keys = top_weights(weights, top_k)
    codes = quantize(weights, largest[:, :1])
    nonzero = codes.ravel() > 0
    bits = np.packbits(nonzero).tobytes()
    ranks = np.empty(codes.shape, np.uint32)
    order = np.argsort(LEVELS - codes, axis=-1, kind="stable")
    np.put_along_axis(ranks, order, np.arange(codes.shape[1], dtype=np.uint32)[None], -1)
    key_ranks = np.take_along_axis(ranks, keys, -1)
    stream = text(codes.ravel()[nonzero].tobytes(), planes(largest), planes(key_ranks))
    return f"{text(bits, repeats=True)},{stream}"


def top_weights(
    weights: NDArray[np.float32], top_k: int
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Return the largest weights of each row and their keys, in descending order."""
    keys = np.argpartition(weights, -top_k, axis=-1)[:, -top_k:]
    order = np.argsort(-np.take_along_axis(weights, keys, -1), axis=-1, kind="stable")
    keys = np.take_along_axis(keys, order, -1)
    return np.take_along_axis(weights, keys, -1), keys


def quantize(weights: NDArray[np.float32], largest: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Round weights to multiples of 1/128 of the row's `largest` weight."""
    scale = LEVELS / np.where(largest > 0, largest, 1).astype(np.float64)
    return np.rint(weights * scale).astype(np.uint8)


def encode_line(values: ArrayLike) -> tuple[dict[str, float], str]:
    """Encode numbers in 16 bits each, between their minimum and their maximum.

    Returns:
        The number of code 0 and the step between codes, and the text.
    """
    array = np.asarray(values, np.float64).ravel()
    finite = array[np.isfinite(array)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    step = (high - low) / _MAX_CODE or 1.0
    codes = np.full(array.shape, _MAX_CODE + 1, np.uint16)
    codes[np.isfinite(array)] = np.rint((finite - low) / step)
    return {"low": low, "step": step}, text(planes(codes))


def thumbnail(weights: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Shrink a map to at most 32 × 32 cells, each the largest of its weights over the map's."""
    rows, columns = (np.arange(min(n, THUMB)) * n // min(n, THUMB) for n in weights.shape)
    cells = np.maximum.reduceat(np.maximum.reduceat(weights, rows, 0), columns, 1)
    return np.rint(cells * (255 / (cells.max() or 1))).astype(np.uint8)


def mean_entropy(weights: NDArray[np.float32]) -> float:
    """Return the mean over the queries of the entropy of their weights, in nats."""
    logs = np.log(weights, out=np.zeros_like(weights), where=weights > 0)
    return float(-np.einsum("qk,qk->", weights, logs) / len(weights))

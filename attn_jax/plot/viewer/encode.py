"""Arrays as text in the page: eight bits a weight, the largest exact, compressed, in base64."""

import base64
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

# A power of two, so that a row's scale, its largest weight over this, is exact in float32. Rounding
# to the nearest of these levels is off by at most 1/256 of the row's largest weight.
LEVELS = 128
THUMB = 32
# The last code but one is the largest number of a line, the last says that there is none.
_NONE = 65534


def text(*parts: bytes, repeats: bool = False) -> str:
    """Compresses the parts as one stream and writes it in base64.

    Args:
        *parts: Bytes.
        repeats: Whether to look for repeats of more than one byte, which takes most of the time,
            and pays where rows of a map are alike.

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
    """Gives the first bytes of all values, then their second bytes, and so on.

    The bytes of like meaning lie together, which compresses better.
    """
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    return little.reshape(-1, 1).view(np.uint8).T.tobytes()


def encode_map(weights: NDArray[np.float32], top_k: int) -> str:
    """Encodes one map, row by row relative to the row's largest weight.

    The first stream holds a bit for each weight, whether its code is other than zero. The second,
    after a comma, holds those codes, then the ``top_k`` largest weights of each row, exact, the
    largest first, then their keys. A key is given by its place among all keys of the row, those of
    larger codes first, then in their order: mostly 0, 1, 2 …, which compresses to almost nothing.

    Args:
        weights: ``(queries, keys)``, not negative.
        top_k: How many weights of each row to keep exactly; not more than keys.

    Returns:
        The text.
    """
    most, keys = top_weights(weights, top_k)
    codes = quantise(weights, most[:, :1])
    seen = codes.ravel() > 0
    bits = np.packbits(seen).tobytes()
    places = np.empty(codes.shape, np.uint32)
    order = np.argsort(LEVELS - codes, axis=-1, kind="stable")
    np.put_along_axis(places, order, np.arange(codes.shape[1], dtype=np.uint32)[None], -1)
    chosen = np.take_along_axis(places, keys, -1)
    rest = text(codes.ravel()[seen].tobytes(), planes(most), planes(chosen))
    return f"{text(bits, repeats=True)},{rest}"


def top_weights(
    weights: NDArray[np.float32], top_k: int
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Gives the largest weights of each row and their keys, the largest first."""
    keys = np.argpartition(weights, -top_k, axis=-1)[:, -top_k:]
    order = np.argsort(-np.take_along_axis(weights, keys, -1), axis=-1, kind="stable")
    keys = np.take_along_axis(keys, order, -1)
    return np.take_along_axis(weights, keys, -1), keys


def quantise(weights: NDArray[np.float32], largest: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Rounds weights to whole numbers of 128ths of the row's ``largest``."""
    scale = LEVELS / np.where(largest > 0, largest, 1).astype(np.float64)
    return np.rint(weights * scale).astype(np.uint8)


def encode_line(values: ArrayLike) -> tuple[dict[str, float], str]:
    """Encodes numbers in 16 bits each, between the least and the largest of them.

    Returns:
        The number of code 0 and the step to the next, and the text.
    """
    array = np.asarray(values, np.float64).ravel()
    finite = array[np.isfinite(array)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    step = (high - low) / _NONE or 1.0
    codes = np.full(array.shape, _NONE + 1, np.uint16)
    codes[np.isfinite(array)] = np.rint((finite - low) / step)
    return {"low": low, "step": step}, text(planes(codes))


def thumbnail(weights: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Shrinks a map to at most 32 × 32 cells, each its largest weight relative to the map's."""
    rows, columns = (np.arange(min(n, THUMB)) * n // min(n, THUMB) for n in weights.shape)
    cells = np.maximum.reduceat(np.maximum.reduceat(weights, rows, 0), columns, 1)
    return np.rint(cells * (255 / (cells.max() or 1))).astype(np.uint8)


def mean_entropy(weights: NDArray[np.float32]) -> float:
    """Gives the mean over the queries of their weights' entropy, in nats."""
    logs = np.log(weights, out=np.zeros_like(weights), where=weights > 0)
    return float(-np.einsum("qk,qk->", weights, logs) / len(weights))

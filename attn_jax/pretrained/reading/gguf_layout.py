"""The layout of a GGUF file: its metadata, and where its tensors lie.

The package gguf makes arrays of every piece of the vocabulary, which takes seconds; here each is
read once, as text.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

_VERSIONS = (2, 3)
_SCALARS = {0: "<u1", 1: "<i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "?"}
_SCALARS |= {10: "<u8", 11: "<i8", 12: "<f8"}
_STRING, _ARRAY = 8, 9


class StoredTensor(NamedTuple):
    """A tensor in a GGUF file.

    Attributes:
        name: Its name.
        shape: Its shape.
        kind: The number of its quantization.
        start: Where its bytes begin.
        size: The number of its bytes.
    """

    name: str
    shape: tuple[int, ...]
    kind: int
    start: int
    size: int


class Layout(NamedTuple):
    """What a GGUF file holds.

    Attributes:
        fields: Its metadata, in Python's own types.
        tensors: Its tensors.
        data: All its bytes, mapped into memory.
    """

    fields: dict[str, Any]
    tensors: list[StoredTensor]
    data: np.ndarray


def read_layout(path: Path, block_sizes: Mapping[Any, tuple[int, int]]) -> Layout:
    """Read the layout of a GGUF file, and map it into memory.

    Args:
        path: The file.
        block_sizes: For each kind of quantization, the numbers and the bytes of a block.

    Raises:
        ValueError: If it is damaged, or of a version that is not known.
    """
    data: Any = np.memmap(path, mode="r").view(np.ndarray)
    if bytes(data[:4]) != b"GGUF":
        raise ValueError("it does not begin with GGUF")
    cursor = _Cursor(data, 4)
    if (version := cursor.number(4)) not in _VERSIONS:
        raise ValueError(f"it has version {version}, and known are {_VERSIONS}")
    tensor_count, field_count = cursor.number(8), cursor.number(8)
    fields = {cursor.text(): cursor.value(cursor.number(4)) for _ in range(field_count)}
    tensors = [cursor.tensor(block_sizes) for _ in range(tensor_count)]
    alignment = fields.get("general.alignment", 32)
    first = -(-cursor.position // alignment) * alignment
    tensors = [tensor._replace(start=first + tensor.start) for tensor in tensors]
    if any(tensor.start + tensor.size > len(data) for tensor in tensors):
        raise ValueError("it ends too early")
    return Layout(fields, tensors, data)


class _Cursor:
    """Reads one value after the other."""

    def __init__(self, data: Any, position: int) -> None:
        self._data = memoryview(data)
        self.position = position

    def number(self, size: int) -> int:
        return int.from_bytes(self._bytes(size), "little")

    def text(self) -> str:
        return str(self._bytes(self.number(8)), "utf-8")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY:
            return self._scalars(kind, 1)[0]
        kind, count = self.number(4), self.number(8)
        if kind in (_STRING, _ARRAY):
            return [self.value(kind) for _ in range(count)]
        return self._scalars(kind, count)

    def tensor(self, block_sizes: Mapping[Any, tuple[int, int]]) -> StoredTensor:
        name, rank = self.text(), self.number(4)
        shape = tuple(self.number(8) for _ in range(rank))[::-1]
        kind, start = self.number(4), self.number(8)
        if kind not in block_sizes:
            raise ValueError(f"tensor {name!r} is of the unknown kind {kind}")
        numbers, size = block_sizes[kind]
        return StoredTensor(name, shape, kind, start, math.prod(shape) // numbers * size)

    def _scalars(self, kind: int, count: int) -> list[Any]:
        if kind not in _SCALARS:
            raise ValueError(f"it has a field of the unknown type {kind}")
        dtype = np.dtype(_SCALARS[kind])
        return np.frombuffer(self._bytes(count * dtype.itemsize), dtype).tolist()

    def _bytes(self, count: int) -> memoryview:
        start = self.position
        self.position += count
        if self.position > len(self._data):
            raise ValueError("it ends too early")
        return self._data[start : self.position]

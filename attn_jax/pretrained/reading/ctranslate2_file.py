"""The binary file of a CTranslate2 model: named arrays one after the other, and second names.

All numbers are little-endian: the version, the kind of model and its revision; the number of
arrays, each with its name, rank, sizes, type, number of bytes and content; and the number of second
names, each with the name that it stands for. A text is its length, with a zero byte at its end.
"""

import math
import struct
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from attn_jax.pretrained.errors import PretrainedError

_VERSION = 6
_TYPES = [np.dtype(code) for code in ("<f4", "i1", "<i2", "<i4", "<f2", jnp.bfloat16)]


def read_file(path: Path) -> tuple[str, dict[str, np.ndarray]]:
    """Return the kind of a model, and its arrays by name, mapped into memory.

    Raises:
        PretrainedError: If the file is damaged, or of another version of the format.
        OSError: If it cannot be read.
    """
    try:
        content = np.memmap(path, np.uint8, "r")
        return _Cursor(content).read()
    except (ValueError, IndexError) as error:  # mapping an empty file is a ValueError too
        raise PretrainedError(f"{path} is damaged: {error}; fetch it again.") from error


class _Cursor:
    """Reads one thing after another, and never past the end."""

    def __init__(self, content: np.ndarray) -> None:
        self._content = content
        self._position = 0

    def read(self) -> tuple[str, dict[str, np.ndarray]]:
        if (version := self._number("I")) != _VERSION:
            raise ValueError(
                f"it is of version {version}, and only CTranslate2's {_VERSION} is read"
            )
        kind, _ = self._text(), self._number("I")
        arrays = dict(self._array() for _ in range(self._number("I")))
        for _ in range(self._number("I")):
            second, name = self._text(), self._text()
            if name not in arrays:
                raise ValueError(f"{second!r} stands for {name!r}, which is not there")
            arrays[second] = arrays[name]
        if rest := len(self._content) - self._position:
            raise ValueError(f"{rest} bytes are left over")
        return kind, arrays

    def _take(self, size: int) -> np.ndarray:
        start, self._position = self._position, self._position + size
        if self._position > len(self._content):
            raise ValueError(f"it ends at byte {len(self._content)}, before byte {self._position}")
        return self._content[start : self._position]

    def _number(self, code: str) -> int:
        return struct.unpack(f"<{code}", self._take(struct.calcsize(f"<{code}")).tobytes())[0]

    def _text(self) -> str:
        content = self._take(self._number("H")).tobytes()
        if content[-1:] != b"\0":
            raise ValueError(f"a name does not end before byte {self._position}")
        return content[:-1].decode()  # bytes that are no UTF-8 are a ValueError

    def _array(self) -> tuple[str, np.ndarray]:
        name = self._text()
        shape = [self._number("I") for _ in range(self._number("B"))]
        type_, size = self._number("B"), self._number("I")
        if type_ >= len(_TYPES) or size != math.prod(shape) * _TYPES[type_].itemsize:
            raise ValueError(f"{name!r} has {size} bytes, the shape {shape} and the type {type_}")
        return name, self._take(size).view(_TYPES[type_]).reshape(shape)

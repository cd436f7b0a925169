"""Files of a run that were written by somebody else, or are damaged: read, or refused by name."""

import json
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from types import UnionType
from typing import Any, TypeGuard, TypeVar

import numpy as np

T = TypeVar("T")

_MAX_BYTES = 2**26
_MAX_DEPTH = 100


class StoredFileError(ValueError):
    """An error about a file that cannot be read; the message names it."""


def read_json(path: Path, kind: type[T], max_bytes: int = _MAX_BYTES) -> T:
    """Read a file of JSON.

    Args:
        path: The file.
        kind: The type that its content must have, such as `dict`.
        max_bytes: The largest size allowed.

    Returns:
        Its content.

    Raises:
        FileNotFoundError: If there is no such file.
        StoredFileError: If it is too large, is not JSON, or is of another type.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "scores.json"
        >>> _ = path.write_text("[1, 2]")
        >>> read_json(path, list)
        [1, 2]
    """
    require_file(path, max_bytes)
    try:
        content = json.loads(path.read_bytes())
        # Half of a surrogate pair passes as JSON, but cannot be written or printed.
        json.dumps(content, ensure_ascii=False).encode()
    except (OSError, RecursionError, ValueError) as error:
        raise StoredFileError(f"{path} cannot be read ({_line(error)})") from error
    if _is_deep(content):
        raise StoredFileError(f"{path} is nested more than {_MAX_DEPTH} levels deep")
    if not isinstance(content, kind):
        raise StoredFileError(
            f"{path} holds a {type(content).__name__} at its top level, not a {kind.__name__}"
        )
    return content


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read an `.npz` file.

    Args:
        path: The file.

    Returns:
        Its arrays, by name.

    Raises:
        FileNotFoundError: If there is no such file.
        StoredFileError: If it is damaged, or holds objects instead of numbers.
    """
    require_file(path)
    try:
        # Opened here, because NumPy leaves the file of a damaged archive open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            content = dict(arrays)
    # Damaged archives raise errors of zipfile, zlib, struct and NumPy, with no common class.
    except Exception as error:
        raise StoredFileError(f"{path} cannot be read ({_line(error)})") from error
    if not content:
        # The list of a zip file's members has no checksum, and zeros make it an empty one.
        raise StoredFileError(f"{path} holds no arrays")
    # NumPy returns the bytes of a member that is not an array.
    if not all(isinstance(array, np.ndarray) for array in content.values()):
        raise StoredFileError(f"{path} holds something that is not an array")
    return content


def require_file(path: Path, max_bytes: int | None = None) -> None:
    """Check that a path is a file, because reading a pipe would wait forever.

    Args:
        path: The path.
        max_bytes: The largest size allowed.

    Raises:
        FileNotFoundError: If there is nothing at the path.
        StoredFileError: If it is not a file, or is larger.
    """
    size = path.stat().st_size
    if not path.is_file():
        raise StoredFileError(f"{path} is not a file")
    if max_bytes is not None and size > max_bytes:
        raise StoredFileError(f"{path} has {size:,} bytes, more than the {max_bytes:,} allowed")


def _is_deep(content: Any) -> bool:
    level = [content]
    for _ in range(_MAX_DEPTH):
        nested = [value for value in level if isinstance(value, dict | list)]
        level = [
            child
            for value in nested
            for child in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return False
    return True


def _line(error: Exception) -> str:
    """Return what an error says, as a line."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def is_finite_number(value: Any) -> TypeGuard[int | float]:
    """Return whether a value of a JSON file is a number that a float can hold.

    Args:
        value: Any value.

    Returns:
        Whether it is.

    Example:
        >>> [is_finite_number(value) for value in (3, 0.5, float("inf"), 10**400, "3", None)]
        [True, True, False, False, False, False]
    """
    try:
        return isinstance(value, int | float) and isfinite(value)
    except OverflowError:
        return False


def is_record(value: Any, fields: Mapping[str, type | UnionType]) -> bool:
    """Return whether a value is a dictionary whose fields are of these types.

    Args:
        value: Any value.
        fields: The type of each field that it must have.

    Returns:
        Whether it is.

    Example:
        >>> is_record({"name": "a", "more": 1}, {"name": str}), is_record([], {"name": str})
        (True, False)
    """
    return isinstance(value, dict) and all(
        isinstance(value.get(name), kind) for name, kind in fields.items()
    )

"""Files of a run that were written by somebody else, or are damaged: read, or refused by name.

JSON is written with a checksum in its last entry, `sha256`, so that one rename replaces both.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from types import UnionType
from typing import Any, TypeGuard, TypeVar

import numpy as np

from attn_jax.train.disk.manifest import write_atomically

T = TypeVar("T")

_MAX_BYTES = 2**26
_MAX_DEPTH = 100
_SEALED = re.compile(rb'(.*)"sha256": "([0-9a-f]{64})"\s*\}\s*', re.DOTALL)


class StoredFileError(ValueError):
    """An error about a file that cannot be read; the message names it."""


def write_json(path: Path, content: Mapping[str, Any], **options: Any) -> None:
    """Write a file of JSON with a checksum, whole or not at all.

    A damaged file that it replaces is kept aside.

    Args:
        path: The file.
        content: What to write.
        **options: Options of `json.dumps`, but `indent`.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "scores.json"
        >>> write_json(path, {"bleu": 36.3})
        >>> print(path.read_text(), end="")
        {
         "bleu": 36.3,
         "sha256": "0fefd2fefd4a8b45aedb0b82412c5c70841a8ddcb854cca6dc16c6435b2601ca"
        }
        >>> _ = path.write_text(path.read_text().replace("36.3", "36.2"))
        >>> read_json(path, dict)
        Traceback (most recent call last):
        ...
        attn_jax.train.disk.stored.StoredFileError: ...scores.json does not match its checksum, ...
    """
    with contextlib.suppress(OSError):
        try:
            read_json(path, object)
        except StoredFileError as error:
            print(f"{error}; {set_aside(path)}, and is written again.", file=sys.stderr)
    text = json.dumps(content, indent=1, **options).removesuffix("}").rstrip()
    text += ",\n " if content else ""
    digest = hashlib.sha256(text.encode()).hexdigest()
    write_atomically(path, f'{text}"sha256": "{digest}"\n}}\n')


def set_aside(path: Path) -> str:
    """Rename a damaged file, so that it is neither used again nor lost.

    Args:
        path: The file, or whatever is in its place.

    Returns:
        The end of a sentence that says what it is called now.
    """
    aside = path.with_name(f"{path.name}.damaged")
    try:
        # A file cannot be renamed to the name of a folder, nor a folder to that of a file.
        if aside.is_dir():
            shutil.rmtree(aside)
        elif path.is_dir():
            aside.unlink(missing_ok=True)
        os.replace(path, aside)
    except OSError as error:
        return f"it cannot be renamed ({error.strerror})"
    return f"it is kept as {aside.name}"


def read_json(path: Path, kind: type[T], max_bytes: int = _MAX_BYTES) -> T:
    """Read a file of JSON.

    A file without a checksum, as version 0.1.0 and people write them, is taken as it is.

    Args:
        path: The file.
        kind: The type that its content must have, such as `dict`.
        max_bytes: The largest size allowed.

    Returns:
        Its content, without the checksum.

    Raises:
        FileNotFoundError: If there is no such file.
        StoredFileError: If it is too large, is not JSON, is of another type, or does not match its
            checksum.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "scores.json"
        >>> _ = path.write_text("[1, 2]")
        >>> read_json(path, list)
        [1, 2]
    """
    require_file(path, max_bytes)
    try:
        text = path.read_bytes()
        content = json.loads(text)
        # Half of a surrogate pair passes as JSON, but cannot be written or printed.
        json.dumps(content, ensure_ascii=False).encode()
    except (OSError, RecursionError, ValueError) as error:
        raise StoredFileError(f"{path} cannot be read ({_line(error)})") from error
    if _is_deep(content):
        raise StoredFileError(f"{path} is nested more than {_MAX_DEPTH} levels deep")
    if seal := _SEALED.fullmatch(text):
        if hashlib.sha256(seal[1]).hexdigest() != seal[2].decode():
            raise StoredFileError(
                f"{path} does not match its checksum, so it is damaged (if you edited it, remove "
                "its entry sha256)"
            )
        del content["sha256"]
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

"""A list of sha256 sums that makes a folder whole: without it, or differing from it, it is not."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

NAME = "MANIFEST.sha256"


class DamagedError(ValueError):
    """A folder that is not what its manifest says."""


def describe(folder: Path) -> str:
    """The manifest of the files that a folder holds now, in the format of `sha256sum`.

    Args:
        folder: The folder.

    Returns:
        A line for each file but the manifest itself, sorted by path.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != NAME)
    return "".join(f"{_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files)


def seal(folder: Path) -> None:
    """Writes every file of a folder through to the disk, and then its manifest, atomically.

    Args:
        folder: The folder; nothing may write to it any more.
    """
    for path in folder.rglob("*"):
        sync(path)
    write_atomically(folder / NAME, describe(folder))


def verify(folder: Path) -> None:
    """Checks every byte of a sealed folder.

    Args:
        folder: The folder.

    Raises:
        DamagedError: If the manifest is missing, or a file is missing, differs or was added.
    """
    try:
        stated = (folder / NAME).read_bytes()
    except FileNotFoundError:
        raise DamagedError("it was not written to its end (there is no manifest)") from None
    found = describe(folder).encode()
    if stated != found:
        differing = set(stated.splitlines()) ^ set(found.splitlines())
        names = {line.split(b"  ", 1)[-1].decode(errors="replace") for line in differing}
        raise DamagedError(f"{', '.join(sorted(names)) or NAME} differs from its sha256 sum")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Replace a file so that even after a power failure it is the old one or the new one, whole.

    Args:
        path: The file.

    Yields:
        A path beside it to write the new file to. After an error the old file stays.
    """
    draft = path.with_name(f"{path.name}.tmp")
    try:
        yield draft
        sync(draft)
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
    sync(path.parent)


def write_atomically(path: Path, text: str) -> None:
    """Replace a text file as `replacing` does.

    Args:
        path: The file.
        text: Its new content.
    """
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")


def sync(path: Path) -> None:
    """Writes a file or a folder's list of names through to the disk.

    Args:
        path: The file or folder.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

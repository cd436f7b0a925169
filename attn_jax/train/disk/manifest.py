"""Manifests: the sha256 sums of a folder's files, written last, by which the folder is verified."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

NAME = "MANIFEST.sha256"
_DRAFT = ".tmp"


class DamagedError(ValueError):
    """An error about a folder that does not match its manifest."""


def describe(folder: Path) -> str:
    """Return the manifest of a folder's present files, in the format of `sha256sum`.

    Args:
        folder: The folder.

    Returns:
        A line for each file but the manifest itself, sorted by path.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != NAME)
    return "".join(f"{_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files)


def seal(folder: Path) -> None:
    """Flush every file of a folder to the disk, and then write its manifest, atomically.

    Args:
        folder: The folder, to which nothing writes any more.
    """
    for path in folder.rglob("*"):
        sync(path)
    write_atomically(folder / NAME, describe(folder))


def verify(folder: Path) -> None:
    """Verify every byte of a sealed folder.

    Args:
        folder: The folder.

    Raises:
        DamagedError: If the manifest is missing, or a file is missing, differs or was added.
    """
    if not (folder / NAME).is_file():
        raise DamagedError("it is unfinished (it has no manifest)")
    stated = (folder / NAME).read_bytes()
    actual = describe(folder).encode()
    if stated != actual:
        differing = set(stated.splitlines()) ^ set(actual.splitlines())
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
    draft = path.with_name(path.name + _DRAFT)
    try:
        yield draft
        sync(draft)
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
    sync(path.parent)


def remove_drafts(folder: Path) -> None:
    """Remove the files that `replacing` could not finish because its process was killed.

    Args:
        folder: The folder; no other process writes to it or its subfolders.
    """
    for draft in folder.rglob(f"*{_DRAFT}"):
        if draft.is_file():
            draft.unlink()


def write_atomically(path: Path, text: str) -> None:
    """Replace a text file as `replacing` does.

    Args:
        path: The file.
        text: Its new content.
    """
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")


def sync(path: Path) -> None:
    """Flush a file, or the list of a folder's files, to the disk.

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

"""The cache of arrays: compressed npz files, written whole or not at all, never pickled."""

import contextlib
import os
import secrets
import socket
from pathlib import Path

import numpy as np

__all__ = ["cache_folder", "read_arrays", "set_aside", "write_arrays"]


def cache_folder() -> Path:
    """Return the folder that keeps data between runs.

    Returns:
        `$ATTN_JAX_CACHE` where that is set, else `attn_jax` in the XDG cache folder
        (`$XDG_CACHE_HOME`, by default `~/.cache`). It need not exist.
    """
    folder = os.environ.get("ATTN_JAX_CACHE")
    if folder:
        return Path(folder).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "attn_jax"


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays to a compressed npz file that appears under its name only when complete.

    Args:
        path: The file. Its folder is created.
        arrays: The arrays by name.

    Raises:
        OSError: If the folder cannot be written or the disk is full. Nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not `tempfile`, whose files only their owner can read: users may share a cache.
    prefix = f"{path.name}.{socket.gethostname()}."
    _remove_abandoned(path.parent, prefix)
    temporary = path.with_name(f"{prefix}{os.getpid()}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType]
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _remove_abandoned(folder: Path, prefix: str) -> None:
    """Remove the temporary files that processes of this machine left when they were killed."""
    for file in folder.iterdir():
        pid = file.name.removeprefix(prefix).split(".")[0]
        if file.name.startswith(prefix) and file.suffix == ".tmp" and pid.isdecimal():
            try:
                os.kill(int(pid), 0)
            except ProcessLookupError:
                with contextlib.suppress(OSError):
                    file.unlink()
            except (OSError, OverflowError):
                # Another user's, which exists, or a number that is no process's.
                continue


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of an npz file, and refuse pickled ones.

    Args:
        path: A file that `write_arrays` wrote.

    Returns:
        The arrays by name.

    Raises:
        FileNotFoundError: If there is no such file.
        PermissionError: If it may not be read, which says nothing about its content.
        ValueError: If the file is damaged.
    """
    if path.exists() and not path.is_file():
        # Reading a pipe would wait forever.
        raise ValueError(f"{path} is damaged: it is not a file.")
    try:
        # Opened here, because numpy forgets to close a file that turns out to be damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            content = {name: arrays[name] for name in arrays.files}
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # Damage raises errors of zipfile, zlib and numpy.
        raise ValueError(f"{path} is damaged: {error}.") from error
    if not content:
        # The list of a zip file's members has no checksum, and zeros make it an empty one.
        raise ValueError(f"{path} is damaged: it holds no arrays.")
    return content


def set_aside(path: Path) -> str:
    """Rename a damaged file, so that it is neither used again nor lost.

    Args:
        path: The damaged file. It replaces one that was set aside before.

    Returns:
        A sentence that says where the file is now.
    """
    destination = path.with_name(f"{path.name}.damaged")
    try:
        os.replace(path, destination)
    except OSError as error:
        return f"It cannot be renamed ({error})."
    return f"It is set aside as {destination}."

"""The lock that gives a run folder one writer at a time."""

import contextlib
import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from attn_jax.train.disk.run_folder import RunFolderError, require_writable

NAME = "lock"
_UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


class Owner(NamedTuple):
    """The process that a lock names.

    Attributes:
        pid: Its process number.
        host: The machine it runs on.
    """

    pid: int
    host: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    def has_ended(self) -> bool:
        """Return whether it was a process of this host that no longer exists."""
        if self.host != socket.gethostname() or self.pid <= 0:
            return False
        try:
            # Signal 0 only asks whether the process exists.
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except (PermissionError, OverflowError):
            return False
        return False


@contextlib.contextmanager
def lock_run(run_dir: Path) -> Iterator[list[str]]:
    """Keep other processes from writing to a run folder while the block runs.

    The lock is a file that names the process and its host. The operating system releases it when
    the process ends, however it ends, so a file that is left behind is taken over.

    Args:
        run_dir: The run's folder; it is made if it does not exist.

    Yields:
        Notes for the user: whose lock was taken over, if there was one.

    Raises:
        RunFolderError: If another process holds the lock, or the folder cannot be written.
    """
    require_writable(run_dir)
    descriptor, notes = _acquire(run_dir / NAME)
    try:
        yield notes
    finally:
        with contextlib.suppress(OSError):
            (run_dir / NAME).unlink(missing_ok=True)
        os.close(descriptor)


def _acquire(path: Path) -> tuple[int, list[str]]:
    """Return the open, locked file and the notes for the user."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        owner = _read_owner(descriptor)
        locked = _try_lock(descriptor, owner)
        if locked and _is_at(descriptor, path):
            _write_owner(descriptor)
            return descriptor, [f"Took over the lock of {owner}, which has ended."] * bool(owner)
        # A child may still hold the lock of a process that has ended; a new file replaces it.
        abandoned = not locked and owner is not None and owner.has_ended()
        if abandoned and _is_at(descriptor, path):
            path.unlink(missing_ok=True)
        os.close(descriptor)
        if not locked and not abandoned:
            raise RunFolderError(
                f"{owner or 'another process'} is writing to {path.parent}; wait until it ends, "
                "or stop it first."
            )


def _try_lock(descriptor: int, owner: Owner | None) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        # Some network file systems have no locks: there, the name in the file has to do.
        return owner is None or owner.has_ended()
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Return whether an open file is still the one at its path."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _read_owner(descriptor: int) -> Owner | None:
    try:
        owner = json.loads(os.pread(descriptor, 4096, 0))
        return Owner(int(owner["pid"]), str(owner["host"]))
    except (ValueError, TypeError, KeyError):
        return None


def _write_owner(descriptor: int) -> None:
    owner = {"pid": os.getpid(), "host": socket.gethostname()}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(owner).encode(), 0)

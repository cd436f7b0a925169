"""The folder of a new run: made, held while the run begins, and removed if it never does."""

import contextlib
import datetime
import fcntl
import os
import shutil
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

from experiments.reopen import RUN_NAME


@contextlib.contextmanager
def begin_run(folder: Path) -> Iterator[Path]:
    """Make the folder of a new run; remove it again if the run ends before it has begun.

    Folders that killed processes left before their runs had begun are removed too.
    """
    for left in folder.glob("*"):
        if RUN_NAME.fullmatch(left.name) and not (left / "command.json").exists():
            # Some network file systems have no locks: there nothing is removed.
            with contextlib.suppress(OSError), _locked(left, fcntl.LOCK_EX | fcntl.LOCK_NB):
                shutil.rmtree(left)
    with contextlib.ExitStack() as stack:
        run = new_run(folder)
        with contextlib.suppress(OSError):
            stack.enter_context(_locked(run, fcntl.LOCK_SH))
        # Before it was locked, another process may have taken it for one that was left.
        run.mkdir(exist_ok=True)
        try:
            yield run
        finally:
            if not (run / "command.json").exists():
                shutil.rmtree(run, ignore_errors=True)
                with contextlib.suppress(OSError):
                    folder.rmdir()


@contextlib.contextmanager
def _locked(folder: Path, kind: int) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)


def new_run(folder: Path) -> Path:
    """Make a new folder in `folder`, named by the date and time in UTC, and return it."""
    name = datetime.datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    number = 1
    while True:
        run = folder / (name if number == 1 else f"{name}-{number}")
        try:
            run.mkdir(parents=True)
        except FileExistsError:
            # Another run made it in the same second.
            number += 1
        else:
            return run

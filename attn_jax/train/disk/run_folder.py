"""The folder of a run: its `command.json`, and checks that it can be written."""

import difflib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from attn_jax.train.config import PLACEMENT
from attn_jax.train.disk.stored import StoredFileError, read_json, write_json
from attn_jax.train.processes.agreement import versions

NAME = "command.json"
_BEGUN = "begun"
_MAX_BYTES = 2**20


class RunFolderError(RuntimeError):
    """An error about a folder in which a run cannot start or resume."""


def read_command(run_dir: str | Path) -> dict[str, Any]:
    """Read the experiment, options, versions and device of a run.

    Args:
        run_dir: The run's folder.

    Returns:
        The contents of its `command.json`.

    Raises:
        RunFolderError: If it cannot be read.
    """
    path = Path(run_dir) / NAME
    try:
        return read_json(path, dict, _MAX_BYTES)
    except StoredFileError as error:
        raise RunFolderError(f"{error}; restore the file, or train again.") from error
    except OSError as error:
        raise RunFolderError(f"{path} cannot be read ({error}); is {run_dir} a run?") from error


def environment(mesh: Mesh) -> dict[str, Any]:
    """Return the versions and devices that a run depends on.

    Args:
        mesh: The devices.

    Returns:
        `versions`, by package, and `device`.
    """
    first = mesh.devices.flat[0]
    device = {"platform": first.platform, "kind": first.device_kind, "count": mesh.size}
    # Runs of one process and one axis state neither, as they always have.
    processes = len({device.process_index for device in mesh.devices.flat})
    device |= {"processes": processes} if processes > 1 else {}
    device |= {name: mesh.shape[name] for name in PLACEMENT if name in mesh.shape}
    return {"versions": versions(), "device": device}


def require_new(run_dir: Path) -> None:
    """Refuse a folder that holds a run.

    Args:
        run_dir: The folder for a new run.

    Raises:
        RunFolderError: If it holds a run already.
    """
    if (run_dir / NAME).exists():
        raise RunFolderError(
            f"{run_dir} holds a run already; resume it (resume=True), or choose another folder."
        )


def write_command(
    run_dir: Path, command: Mapping[str, Any], mesh: Mesh, begun: datetime | None = None
) -> None:
    """Write the `command.json` of a new run.

    Args:
        run_dir: The run's folder.
        command: The experiment and its options.
        mesh: The devices.
        begun: When the run began; now by default.
    """
    time = {_BEGUN: (begun or datetime.now(UTC)).isoformat()}
    write_json(run_dir / NAME, {**command, **time, **environment(mesh)}, sort_keys=True)


def begun_at(run_dir: Path) -> float:
    """Return when a run began, in seconds since 1970, whatever its folder is called now.

    Args:
        run_dir: The run's folder.

    Returns:
        The time in its `command.json`; for runs that are older than this entry, when that file was
        last modified.
    """
    path = run_dir / NAME
    try:
        begun = datetime.fromisoformat(read_json(path, dict, _MAX_BYTES)[_BEGUN])
        # Without a zone of its own it would be read in that of this machine.
        return (begun if begun.tzinfo else begun.replace(tzinfo=UTC)).timestamp()
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return path.stat().st_mtime


def require_same(run_dir: Path, command: Mapping[str, Any], mesh: Mesh) -> list[str]:
    """Check that a run may be resumed with this command.

    Args:
        run_dir: The run's folder.
        command: The experiment and its options.
        mesh: The devices.

    Returns:
        Notes on versions and devices that have changed since the run began, which may alter the
        last bits of the results, and on more epochs than it began with.

    Raises:
        RunFolderError: If the command differs in more than that, with the difference.
    """
    stored = read_command(run_dir)
    current = environment(mesh)
    before = {name: stored[name] for name in stored if name not in (_BEGUN, *current)}
    longer = _more_epochs(before, command)
    differing = difference(_with_epochs(before, command) if longer else before, command)
    if differing:
        raise RunFolderError(
            f"{run_dir} was started with a different command (- then, + now):\n{differing}\n"
            "Leave these options out to resume it, or start a new run; only the number of epochs "
            "may grow."
        )
    return longer + [
        f"The {name} changed since the run began, so last bits may differ from here on:\n{lines}"
        for name, now in current.items()
        if (lines := difference(stored.get(name), now))
    ]


def extend_command(run_dir: Path, command: Mapping[str, Any]) -> None:
    """Write the epochs that a resumed run goes on to, and the options that say so.

    Args:
        run_dir: The run's folder.
        command: The experiment and its options, which :func:`require_same` has let pass.
    """
    stored = read_command(run_dir)
    if stored["train"] != command["train"]:
        write_json(run_dir / NAME, _with_epochs(stored, command), sort_keys=True)


def _more_epochs(before: Mapping[str, Any], command: Mapping[str, Any]) -> list[str]:
    """Return a note if a command trains longer than the run began with."""
    old, new = (each.get("train", {}).get("epochs") for each in (before, command))
    if not (isinstance(old, int) and isinstance(new, int) and new > old):
        return []
    return [
        f"Training goes on from {old} to {new} epochs. From here on the learning rate follows the "
        f"schedule of {new} epochs, so this is not the run that {new} epochs from the start give."
    ]


def _with_epochs(stored: Mapping[str, Any], command: Mapping[str, Any]) -> dict[str, Any]:
    train = {**stored["train"], "epochs": command["train"]["epochs"]}
    arguments = {"arguments": command["arguments"]} if "arguments" in command else {}
    return {**stored, "train": train, **arguments}


def difference(before: Any, after: Any) -> str:
    """Return the lines of JSON in which two settings differ.

    Args:
        before: The settings whose lines are marked by `-`.
        after: The settings whose lines are marked by `+`.

    Returns:
        The lines; empty if there are none.

    Example:
        >>> print(difference({"seed": 0, "epochs": 2}, {"seed": 1, "epochs": 2}))
        -  "seed": 0
        +  "seed": 1
    """
    old, new = (json.dumps(x, indent=2, sort_keys=True).splitlines() for x in (before, after))
    lines = difflib.unified_diff(old, new, lineterm="", n=0)
    return "\n".join(x for x in lines if not x.startswith(("---", "+++", "@@")))


def require_writable(folder: Path) -> None:
    """Make a folder, and check that it can be written.

    Args:
        folder: The folder.

    Raises:
        RunFolderError: If it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"0" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise RunFolderError(
            f"the run folder {folder} cannot be written: {error.strerror}. Choose another folder, "
            "or change its permissions."
        ) from error


def require_space(folder: Path, arrays: Any, count: int) -> None:
    """Check that the checkpoints of a run will fit on the disk.

    Args:
        folder: The run's folder.
        arrays: The arrays of one checkpoint.
        count: The number of checkpoints that exist at once.

    Raises:
        RunFolderError: If they will not fit.
    """
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(arrays)) + 2**20
    free = shutil.disk_usage(folder).free
    if free < size * count:
        raise RunFolderError(
            f"{folder} has {free / 2**20:,.0f} MiB free, but {count:,} checkpoints of "
            f"{size / 2**20:,.0f} MiB need {size * count / 2**20:,.0f}; make room, choose a "
            "folder on another disk, or keep fewer."
        )

"""What the processes of a run must agree on before it begins: options, versions, and a folder."""

import importlib.metadata
import json
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attn_jax.train.processes.channel import ProcessError, Processes

_PACKAGES = ("attn-jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
PATIENCE = 20.0


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a run depends on.

    Returns:
        The versions, by package.
    """
    stated = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            stated[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return stated


def require_same_everywhere(processes: Processes, settings: Mapping[str, Any]) -> None:
    """Check that all processes were started with the same settings and versions.

    Args:
        processes: The processes of the run.
        settings: The settings of this one, as JSON.

    Raises:
        ProcessError: In every process, if one differs from process 0.
    """
    own = json.dumps({**settings, "versions": versions()}, sort_keys=True)
    first, *others = map(json.loads, processes.exchange(own))
    for index, other in enumerate(others, start=1):
        for name in sorted({*_flat(first), *_flat(other)}):
            values = [_flat(each).get(name, "nothing") for each in (other, first)]
            if values[0] != values[1]:
                raise ProcessError(
                    f"process {index} has {name}={values[0]!r}, but process 0 has {values[1]!r}; "
                    "start all processes with the same options and versions."
                )


def require_shared(processes: Processes, path: Path) -> None:
    """Check that all processes see a file that process 0 has just written.

    Args:
        processes: The processes of the run.
        path: The file.

    Raises:
        ProcessError: In every process, if one does not see it.
    """
    if processes.count == 1:
        return
    text = processes.first(lambda: path.read_text("utf-8"))
    answers = processes.exchange("yes" if _appears(path, text) else "no")
    blind = [str(index) for index, answer in enumerate(answers) if answer == "no"]
    if blind:
        raise ProcessError(
            f"{path.parent} is not the same folder for process {', '.join(blind)} as for process "
            "0; choose a folder on a disk that all processes share."
        )


def _appears(path: Path, text: str) -> bool:
    """Return whether a file has this content, soon: network file systems show it late."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if path.read_text("utf-8") == text:
                return True
        except OSError:
            # A folder that was listed before is listed anew.
            list(path.parent.parent.glob("*"))
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Return the leaves of nested dictionaries, by their names joined with dots."""
    if not isinstance(value, dict):
        return {name: value}
    return {
        leaf: inner
        for key, child in value.items()
        for leaf, inner in _flat(child, f"{name}.{key}" if name else key).items()
    }

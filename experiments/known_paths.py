"""The paths that a user has named on this machine.

A stored run is opened without reading any other path, because whoever began it chose them.
"""

import dataclasses
import importlib
import json
import os
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from attn_jax.train import RunFolderError
from experiments.invocation import program


def known_paths_file() -> Path:
    """Return the file of known paths, in the user's XDG folder of states."""
    folder = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(folder) / "attn_jax" / "known_paths"


def allow(paths: Iterable[Path]) -> None:
    """Note that the user named these paths.

    Raises:
        OSError: If that cannot be noted.
    """
    lines = [line for path in paths if (line := _line(path)) not in _known()]
    if lines:
        file = known_paths_file()
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A single write at the end, so that no process loses the lines of another.
        with file.open("a", encoding="utf-8") as stream:
            stream.write("".join(lines))


def allow_options(experiment: Any, words: Sequence[str]) -> None:
    """Note the paths of an experiment that are among the words of a command line."""
    values = {Path(part) for word in words for part in (word, word.partition("=")[2]) if part}
    try:
        allow(path for _, path in option_paths(experiment) if path in values)
    except (OSError, RuntimeError) as error:
        print(
            f"{error}; so this run is not known as yours, and its paths have to be allowed before "
            "it is opened again.",
            file=sys.stderr,
        )


def require_known_paths(run: Path, name: str, experiment: Any) -> None:
    """Refuse a run that names paths which the user has not.

    Args:
        run: The run's folder.
        name: The name of its experiment.
        experiment: The experiment with the run's options.

    Raises:
        RunFolderError: If there is such a path.
    """
    defaults = set(option_paths(importlib.import_module(f"experiments.configs.{name}").experiment))
    for option, path in option_paths(experiment):
        if (option, path) not in defaults and _line(path) not in _known():
            raise RunFolderError(
                f"{run / 'command.json'} names the path {path} (--{option}), which you have not "
                "named on this machine, so it is not read. If you trust it, run "
                f"`{program()} allow {shlex.quote(str(path))}`, and try again."
            )


def option_paths(options: Any, prefix: str = "") -> Iterator[tuple[str, Path]]:
    """Yield the paths among the fields of a dataclass and of those in it, with their options."""
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if isinstance(value, Path):
            yield prefix + field.name, value
        elif dataclasses.is_dataclass(value):
            yield from option_paths(value, f"{prefix}{field.name}.")


def _known() -> set[str]:
    try:
        return set(known_paths_file().read_text(encoding="utf-8").splitlines(keepends=True))
    except (OSError, RuntimeError, ValueError):
        return set()


def _line(path: Path) -> str:
    """Return an absolute path, links followed, as a line of JSON, which has no line breaks."""
    return json.dumps(os.path.realpath(path)) + "\n"

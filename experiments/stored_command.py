"""The command of a stored run, which may be damaged or come from somebody else."""

import contextlib
import dataclasses
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from attn_jax import train as training
from attn_jax.train.disk.stored import is_record
from experiments import catalogue
from experiments.experiment import Experiment
from experiments.options import Command, parse

_FIELDS = {"experiment": str, "arguments": list, "model": dict, "task": dict}
# The parser has options of its own, of which one writes a file.
_FORBIDDEN = re.compile(r"-h|--help|--?tyro[-_].*")


class StoredCommand(NamedTuple):
    """The command of a run.

    Attributes:
        name: The name of its experiment, one of the catalogue.
        arguments: Its options, as words.
        settings: The settings of its `model` and `task`.
    """

    name: str
    arguments: list[str]
    settings: dict[str, Any]


def read_stored_command(run: Path) -> StoredCommand:
    """Read the command of a run.

    Args:
        run: The run's folder.

    Raises:
        RunFolderError: If it cannot be read, or is not a command of this program.
    """
    command = training.read_command(run)
    path = run / "command.json"
    if not is_record(command, _FIELDS) or not _are_words(command["arguments"]):
        raise training.RunFolderError(
            f"{path} is not the command of an experiment: it must have the name of an "
            "`experiment`, its `arguments` as a list of words, and the settings of `model` and "
            "`task`. Restore the file, or train again."
        )
    name, names = command["experiment"], list(catalogue.experiments())
    if name not in names:
        hint = catalogue.nearest(name, names)
        raise training.RunFolderError(
            f"{path} is of the experiment {name[:80]!r}, which is not in experiments/configs."
            f"{hint} Restore that experiment, or train again."
        )
    return StoredCommand(name, command["arguments"], command)


def _are_words(arguments: list[Any]) -> bool:
    return all(isinstance(word, str) and "\0" not in word for word in arguments)


def stored_experiment(run: Path) -> Experiment:
    """Return the experiment of a run, with the options it was started with.

    Args:
        run: The run's folder.

    Raises:
        RunFolderError: As :func:`stored_options` does.
    """
    return stored_options(run).experiment


def stored_options(run: Path) -> Command:
    """Return the options that a run was started with.

    Args:
        run: The run's folder.

    Raises:
        RunFolderError: If its command cannot be read, has an option that does not exist or that
            runs nothing, or takes data from the run's own folder.
    """
    command = read_stored_command(run)
    forbidden = [word for word in command.arguments if _FORBIDDEN.fullmatch(word.partition("=")[0])]
    if forbidden:
        raise training.RunFolderError(
            f"{run / 'command.json'} has the option {forbidden[0]!r}, which is none of a run; "
            "remove it from the file if the run is yours."
        )
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            options = parse(command.name, command.arguments)
    except SystemExit:
        raise training.RunFolderError(
            f"{run / 'command.json'} has options that {command.name} does not take now: "
            f"{_complaint(output.getvalue())}. Restore the code that the run was trained with, or "
            "train again."
        ) from None
    _require_own_data_nowhere_in(run, options.experiment.task)
    return options


def _complaint(output: str) -> str:
    """Return the sentence of the parser's complaint, which it prints in a frame."""
    lines = [line.strip(" │|") for line in output.splitlines()]
    rules = [index for index, line in enumerate(lines) if re.fullmatch(r"[-─╭╮╰╯]{9,}.*", line)]
    if len(rules) < 2:
        return " ".join(" ".join(lines).split())[:200] or "they end the program"
    return " ".join(filter(None, lines[rules[0] + 1 : rules[1]])).removesuffix(".")


def _require_own_data_nowhere_in(run: Path, task: Any) -> None:
    """Refuse data in the run's own folder: the one who sent the run chose both.

    Of other paths, `known_paths` decides.

    Raises:
        RunFolderError: If there are such data.
    """
    for name, path in _paths(task):
        if _is_in(run, path):
            raise training.RunFolderError(
                f"{run / 'command.json'} takes its data from {path} (--task.{name}), inside the "
                "run's own folder, which is refused because whoever sent the run chose them. If "
                "you trust them, move them out of the run and put the new place into the file."
            )


def _is_in(folder: Path, path: Path) -> bool:
    """Return whether a path exists and, links followed, lies in a folder."""
    try:
        return path.exists() and path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):
        # A name that is too long, or a circle of links, is nowhere.
        return False


def _paths(task: Any) -> Iterator[tuple[str, Path]]:
    """Yield the paths among a task's options, and those that a name makes in a folder."""
    values = {field.name: getattr(task, field.name) for field in dataclasses.fields(task)}
    folders = {name: value for name, value in values.items() if isinstance(value, Path)}
    names = {name: value for name, value in values.items() if isinstance(value, str)}
    yield from folders.items()
    for name, value in names.items():
        yield name, Path(value)
        yield from ((name, folder / value) for folder in folders.values())

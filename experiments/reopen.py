"""Trained runs: which is the last, and its experiment and parameters."""

import re
import sys
from pathlib import Path
from typing import Any

from attn_jax import train as training
from attn_jax.train.disk.run_folder import begun_at
from attn_jax.train.disk.stored import StoredFileError, is_record
from experiments.experiment import Experiment, settings
from experiments.invocation import train_line
from experiments.known_paths import require_known_paths
from experiments.stored_command import read_stored_command, stored_experiment

RUN_NAME = re.compile(r"\d{8}-\d{6}(-\d+)?")
"""The names of new runs."""


def last_run(folder: Path, pattern: str = "*") -> Path:
    """Return the run in a folder that began last, whatever it has been renamed to.

    Args:
        folder: The folder of an experiment.
        pattern: Where in it runs are.

    Raises:
        FileNotFoundError: If there is none.
    """
    runs = [path.parent for path in folder.glob(f"{pattern}/command.json")]
    if not runs:
        raise FileNotFoundError(
            f"There is no run at {folder}. Create one with `{train_line('...')}`."
        )
    return max(runs, key=_order)


def _order(run: Path) -> tuple[float, bool, list[str | int]]:
    """Return a key that sorts runs by when they began, copies first, and then by name."""
    original = RUN_NAME.fullmatch(run.name) is not None
    # As numbers, so that the eleventh run of a second comes after the ninth.
    parts = [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", run.name)]
    return begun_at(run), original, parts


def reopen(run: Path, checkpoint: str | int) -> tuple[Any, dict[str, Any], Any]:
    """Reopen a trained run; see `experiments.load`."""
    experiment, params = reopen_experiment(run, checkpoint)
    return experiment.sized_model(), {"params": params}, experiment.task


def reopen_experiment(run: Path, checkpoint: str | int) -> tuple[Experiment, Any]:
    """Return the experiment of a run, with the run's settings, and its trained parameters."""
    run = find_run(run)
    experiment = experiment_of(run)
    require_known_paths(run, read_stored_command(run).name, experiment)
    experiment.check(run)
    params = trained(run, experiment, checkpoint)
    experiment.check_params(params)
    return experiment, params


def find_run(run: Path) -> Path:
    """Return a run's folder, or the last run in an experiment's."""
    return run if (run / "command.json").exists() else last_run(run)


def trained(run: Path, experiment: Experiment, checkpoint: str | int) -> Any:
    """Return the parameters of a run's checkpoint: `last`, `best` or a step.

    If the last or best checkpoint is damaged or unfinished, the next one is used, with a note on
    standard error.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If it is damaged, or all are.
    """
    checkpoints = training.Checkpoints(run / "checkpoints", best=experiment.train.best)
    steps = checkpoints.steps()
    choices = {"last": steps[::-1], "best": checkpoints.best_steps()}
    candidates = choices.get(str(checkpoint), [checkpoint] if checkpoint in steps else [])
    if not candidates:
        raise FileNotFoundError(
            f"{run} has no checkpoint {checkpoint!r}; it has {steps}, 'last' and 'best'."
        )
    damages = {}
    for step in candidates:
        try:
            arrays, _ = checkpoints.restore(int(step))
        except training.DamagedError as damage:
            damages[step] = damage
            continue
        for skipped, damage in damages.items():
            print(
                f"Skipped the checkpoint of step {skipped}: {damage}. Using step {step}.",
                file=sys.stderr,
            )
        if not (isinstance(arrays, dict) and is_record(arrays.get("state"), {"params": dict})):
            raise StoredFileError(
                f"the checkpoint of step {step} of {run} has no parameters; train again."
            )
        return arrays["state"]["params"]
    reasons = "; ".join(f"step {step}: {damage}" for step, damage in damages.items())
    raise training.DamagedError(f"{run} has no whole checkpoint {checkpoint!r} ({reasons}).")


def experiment_of(run: Path) -> Experiment:
    """Return the experiment of a run, with the run's settings.

    Raises:
        RunFolderError: If the run's command cannot be read or followed.
        ValueError: If the experiment's model or task has changed since.
    """
    command, experiment = read_stored_command(run), stored_experiment(run)
    name = command.name
    for part in ("model", "task"):
        stored = command.settings[part]
        difference = training.difference(stored, settings(getattr(experiment, part), stored))
        if difference:
            raise ValueError(
                f"the {part} of {name} has changed since {run} was trained (- then, + now):\n"
                f"{difference}\nRestore experiments/configs/{name}.py, or train again."
            )
    return experiment

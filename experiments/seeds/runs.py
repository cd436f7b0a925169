"""Runs of experiments by seed: found, resumed or trained."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attn_jax.train import read_command, read_metrics
from attn_jax.train.config import PLACEMENT
from experiments.command import train
from experiments.experiment import Experiment, settings
from experiments.options import parse
from experiments.reopen import last_run


def finished_run(name: str, seed: int, folder: Path, arguments: Sequence[str] = ()) -> Path:
    """Return a finished run of an experiment, training what is missing.

    Args:
        name: The name of the experiment.
        seed: The seed of training.
        folder: Where the runs are, in a folder for each seed.
        arguments: Settings that differ from the defaults, as on the command line.

    Raises:
        RuntimeError: If training failed; it has said why.
    """
    runs = folder / f"seed-{seed}"
    words = ["--train.seed", str(seed), *arguments]
    wanted = parse(name, words).experiment
    run = _run_like(wanted, runs / name)
    if run is not None and _is_finished(run, wanted):
        return run
    own = words if run is None else ["--resume"]
    code = train(name, [*own, "--runs", str(runs)])
    if code:
        raise RuntimeError(f"training {name} with seed {seed} ended with code {code}.")
    return last_run(runs / name)


def _run_like(experiment: Experiment, folder: Path) -> Path | None:
    """Return the last run of a folder, if it has the experiment's settings."""
    try:
        run = last_run(folder)
    except FileNotFoundError:
        return None
    stored = read_command(run)
    options = {name: settings(getattr(experiment, name)) for name in experiment.options()}
    training = dataclasses.asdict(experiment.train)
    needed: dict[str, Any] = {
        "model": settings(experiment.model, stored.get("model")),
        "task": settings(experiment.task, stored.get("task")),
        "train": {name: value for name, value in training.items() if name not in PLACEMENT},
        "options": options,
    }
    same = json.loads(json.dumps(needed)) == {name: stored.get(name) for name in needed}
    return run if same else None


def _is_finished(run: Path, experiment: Experiment) -> bool:
    rows = read_metrics(run)
    return (run / "report.html").exists() and rows[-1].get("epoch") == experiment.train.epochs

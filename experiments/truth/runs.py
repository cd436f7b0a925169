"""Runs of the tasks by seed: found, resumed or trained."""

import dataclasses
import importlib
import json
from pathlib import Path
from typing import Any

from attn_jax.train import read_command, read_metrics
from experiments import catalogue
from experiments.command import train
from experiments.experiment import Experiment, settings
from experiments.options import RUNS, parse
from experiments.reopen import last_run

FOLDER = RUNS / "truth"


def tasks() -> list[str]:
    """Return the names of the experiments whose truth is known."""
    names = list(catalogue.experiments())
    return [name for name in names if type(_default(name)).evidence is not Experiment.evidence]


def _default(name: str) -> Experiment:
    return importlib.import_module(f"experiments.configs.{name}").experiment


def finished_run(name: str, seed: int, folder: Path = FOLDER) -> Path:
    """Return a finished run of an experiment with its default settings, training what is missing.

    Args:
        name: The name of the experiment.
        seed: The seed of training.
        folder: Where the runs are, in a folder for each seed.

    Raises:
        RuntimeError: If training failed; it has said why.
    """
    runs = folder / f"seed-{seed}"
    wanted = parse(name, ["--train.seed", str(seed)]).experiment
    run = _run_like(wanted, runs / name)
    if run is not None and _is_finished(run, wanted):
        return run
    own = ["--train.seed", str(seed)] if run is None else ["--resume"]
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
    needed: dict[str, Any] = {
        "model": settings(experiment.model),
        "task": settings(experiment.task),
        "train": dataclasses.asdict(experiment.train),
        "options": options,
    }
    same = json.loads(json.dumps(needed)) == {name: stored.get(name) for name in needed}
    return run if same else None


def _is_finished(run: Path, experiment: Experiment) -> bool:
    rows = read_metrics(run)
    return (run / "report.html").exists() and rows[-1].get("epoch") == experiment.train.epochs

"""The commands behind the command line: train and resume, report again, reopen."""

import contextlib
import dataclasses
import datetime
import importlib
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC
from pathlib import Path
from typing import Annotated, Any

import tyro

from attn_jax import train as training
from attn_jax.train.disk.run_folder import begun_at
from experiments.experiment import Experiment, settings

RUNS = Path("runs")
EXPECTED = (
    training.RunFolderError,
    training.CheckpointError,
    training.NonFiniteError,
    OSError,
    ValueError,
)
"""Errors that are reported in a line, without a traceback."""


@dataclasses.dataclass(frozen=True)
class Command:
    """The options of a training command."""

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    """The experiment's own settings, without a prefix."""
    resume: bool = False
    """Resume the last run of this experiment exactly where it stopped, with its own options."""
    runs: Path = RUNS
    """The folder for all runs; each run makes its own subfolder, EXPERIMENT/DATE-TIME."""


def parse(name: str, arguments: Sequence[str]) -> Command:
    """Parse the options of an experiment; help and mistakes are printed, and end the program."""
    experiment = importlib.import_module(f"experiments.configs.{name}").experiment
    # Some defaults, and the help for them, depend on the task, so the task is parsed first.
    without_help = [word for word in arguments if word not in ("-h", "--help")]
    task = _parse(name, experiment, without_help).experiment.task
    return _parse(name, experiment.suited_to(task), arguments)


def _parse(name: str, experiment: Experiment, arguments: Sequence[str]) -> Command:
    return tyro.cli(
        Command,
        default=Command(experiment),
        args=list(arguments),
        prog=f"make train EXP={name} ARGS='...'  |  python -m experiments {name}",
        description=sys.modules[f"experiments.configs.{name}"].__doc__,
        config=(tyro.conf.SuppressFixed, tyro.conf.AvoidSubcommands),
    )


def train(name: str, arguments: Sequence[str]) -> int:
    """Train an experiment, or resume its last run; draw its figures and write its report."""
    options = [word for word in arguments if word != "--resume"]
    try:
        command = parse(name, arguments)
        folder = command.runs / name
        if command.resume:
            run = last_run(folder)
            stored = training.read_command(run)["arguments"]
            experiment = parse(name, [*stored, *options]).experiment
            _check(run, experiment)
            _fit(name, experiment, run, stored, resume=True)
        else:
            with _begin(folder) as run:
                command.experiment.begin(run)
                _fit(name, command.experiment, run, options, resume=False)
    except training.TrainingInterrupted as interruption:
        print(interruption, file=sys.stderr)
        return 128 + interruption.number
    except EXPECTED as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def _fit(
    name: str, experiment: Experiment, run: Path, arguments: list[str], *, resume: bool
) -> None:
    """Train, draw the figures, write the report, and print where they are."""

    def finish(result: training.FitResult) -> None:
        experiment.draw(result.state.params, run)
        report = _write_report(run)
        print(summary(result.rows))
        print(f"Report: {report}\nReopen: experiments.load({str(run)!r})")

    print(f"{'Resuming' if resume else 'Run'} {run}")
    training.fit(
        experiment.init,
        experiment.apply,
        experiment.loss,
        experiment.task,
        experiment.train,
        run,
        resume=resume,
        command={
            "experiment": name,
            # The settings below decide everything; the arguments are there to repeat the run.
            "arguments": arguments,
            "model": settings(experiment.model),
            "task": settings(experiment.task),
            "options": {name: settings(getattr(experiment, name)) for name in experiment.options()},
        },
        on_epoch=lambda state, row: experiment.on_epoch(state.params, row, run),
        on_log=lambda state, row: experiment.on_log(state.params, row, run),
        on_end=finish,
        resume_hint=resume_line(name, run),
    )


def _check(run: Path, experiment: Experiment) -> None:
    """Compare the data with the run's, unless the task differs: `fit` refuses that by itself."""
    if training.read_command(run)["task"] == settings(experiment.task):
        experiment.check(run)


def resume_line(name: str, run: Path) -> str:
    """Return the shell command that resumes a run."""
    runs = run.parent.parent
    options = "--resume" if runs == RUNS else f"'--resume --runs {runs}'"
    return f"make train EXP={name} ARGS={options}"


@contextlib.contextmanager
def _begin(folder: Path) -> Iterator[Path]:
    """Make the folder of a new run; remove it again if the run ends before it has begun."""
    run = new_run(folder)
    try:
        yield run
    finally:
        if not (run / "command.json").exists():
            shutil.rmtree(run, ignore_errors=True)
            with contextlib.suppress(OSError):
                folder.rmdir()


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


def summary(rows: list[dict[str, Any]]) -> str:
    """Return the final metrics, those of the last epoch, in a line."""
    last = rows[-1]
    fractions = ("validation/accuracy", "test/accuracy", "greedy/exact")
    numbers = [f"{n.replace('/', ' ')} {last[n]:.2%}" for n in fractions if n in last]
    others = ("greedy/bleu", "greedy/chrf", "test/aer")
    numbers += [f"{n.replace('/', ' ')} {last[n]:.4g}" for n in others if n in last]
    return f"After epoch {last['epoch']:g}: " + ", ".join(numbers)


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
            f"There is no run at {folder}. Create one with `make train EXP=...`."
        )
    return max(runs, key=_order)


def _order(run: Path) -> tuple[float, bool, list[str | int]]:
    """Return a key that sorts runs by when they began, copies first, and then by name."""
    original = re.fullmatch(r"\d{8}-\d{6}(-\d+)?", run.name) is not None
    # As numbers, so that the eleventh run of a second comes after the ninth.
    parts = [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", run.name)]
    return begun_at(run), original, parts


def report(arguments: Sequence[str]) -> int:
    """Draw the figures and write the report of runs again, by default of the last run."""
    try:
        for path in map(Path, arguments or [last_run(RUNS, "*/*")]):
            run = find_run(path)
            with training.lock_run(run) as notes:
                print("".join(f"{note}\n" for note in notes), end="")
                experiment, params = reopen_experiment(run, "last")
                experiment.draw(params, run)
                print(f"Report: {_write_report(run)}")
    except EXPECTED as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def reopen(run: Path, checkpoint: str | int) -> tuple[Any, dict[str, Any], Any]:
    """Reopen a trained run; see `experiments.load`."""
    experiment, params = reopen_experiment(run, checkpoint)
    return experiment.sized_model(), {"params": params}, experiment.task


def reopen_experiment(run: Path, checkpoint: str | int) -> tuple[Experiment, Any]:
    """Return the experiment of a run, with the run's settings, and its trained parameters."""
    run = find_run(run)
    experiment = experiment_of(run)
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
        return arrays["state"]["params"]
    reasons = "; ".join(f"step {step}: {damage}" for step, damage in damages.items())
    raise training.DamagedError(f"{run} has no whole checkpoint {checkpoint!r} ({reasons}).")


def experiment_of(run: Path) -> Experiment:
    """Return the experiment of a run, with the run's settings.

    Raises:
        ValueError: If the experiment's model or task has changed since.
    """
    command = training.read_command(run)
    name = command["experiment"]
    experiment = parse(name, command["arguments"]).experiment
    for part in ("model", "task"):
        difference = training.difference(command[part], settings(getattr(experiment, part)))
        if difference:
            raise ValueError(
                f"the {part} of {name} has changed since {run} was trained (- then, + now):\n"
                f"{difference}\nRestore experiments/configs/{name}.py, or train again."
            )
    return experiment


def _write_report(run: Path) -> Path:
    # Figures need matplotlib, which the help of an experiment does without.
    from experiments.report import write_report

    return write_report(run)

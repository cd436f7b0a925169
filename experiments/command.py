"""The commands behind the command line: train and resume, report again, reopen."""

import dataclasses
import datetime
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from attn_jax import train as training
from experiments.experiment import Experiment, settings

RUNS = Path("runs")
EXPECTED = (
    training.RunFolderError,
    training.CheckpointError,
    training.NonFiniteError,
    OSError,
    ValueError,
)


@dataclasses.dataclass(frozen=True)
class Command:
    """One line of the command line, understood."""

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    """Its own settings, without a prefix."""
    resume: bool = False
    """Go on with the last run of this experiment, exactly where it stopped, with its options."""
    runs: Path = RUNS
    """The folder in which each run makes its own, EXPERIMENT/DATE-TIME."""


def parse(name: str, arguments: Sequence[str]) -> Command:
    """Understand the options; help and mistakes are printed, and end the program."""
    experiment = importlib.import_module(f"experiments.configs.{name}").experiment
    # Which task it is decides what is left to itself, and what help calls the default.
    without_help = [word for word in arguments if word not in ("-h", "--help")]
    task = _understand(name, experiment, without_help).experiment.task
    return _understand(name, experiment.suited_to(task), arguments)


def _understand(name: str, experiment: Experiment, arguments: Sequence[str]) -> Command:
    return tyro.cli(
        Command,
        default=Command(experiment),
        args=list(arguments),
        prog=f"make train EXP={name} ARGS='...'  |  python -m experiments {name}",
        description=sys.modules[f"experiments.configs.{name}"].__doc__,
        config=(tyro.conf.SuppressFixed, tyro.conf.AvoidSubcommands),
    )


def train(name: str, arguments: Sequence[str]) -> int:
    """Train an experiment, or go on with its last run; draw its figures and write its report."""
    given = [word for word in arguments if word != "--resume"]
    try:
        command = parse(name, arguments)
        folder = command.runs / name
        if command.resume:
            run = last_run(folder)
            given = [*training.read_command(run)["arguments"], *given]
            command = parse(name, given)
            _check(run, command.experiment)
        else:
            run = new_run(folder)
        _fit(name, command.experiment, run, given, resume="--resume" in arguments)
    except training.TrainingInterrupted as stopped:
        print(stopped, file=sys.stderr)
        return 128 + stopped.number
    except EXPECTED as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def _fit(name: str, experiment: Experiment, run: Path, given: list[str], *, resume: bool) -> None:
    """Train and leave everything there is to look at, saying where it is."""
    asked = {
        "experiment": name,
        # What was given decides nothing beyond the settings below, but repeats the run.
        "arguments": given if not resume else training.read_command(run)["arguments"],
        "model": settings(experiment.model),
        "task": settings(experiment.task),
        "options": {name: settings(getattr(experiment, name)) for name in experiment.options()},
    }
    if not resume:
        experiment.begin(run)
    print(f"{'Resuming' if resume else 'Run'} {run}")
    result = training.fit(
        experiment.init,
        experiment.apply,
        experiment.loss,
        experiment.task,
        experiment.train,
        run,
        resume=resume,
        command=asked,
        on_epoch=lambda state, row: experiment.on_epoch(state.params, row, run),
        on_log=lambda state, row: experiment.on_log(state.params, row, run),
        resume_hint=resume_line(name, run),
    )
    experiment.draw(result.state.params, run)
    report = _write_report(run)
    print(summary(result.rows))
    print(f"Report: {report}\nReopen: experiments.load({str(run)!r})")


def _check(run: Path, experiment: Experiment) -> None:
    """Compare data with those of a run, unless another task is asked: that is refused later."""
    if training.read_command(run)["task"] == settings(experiment.task):
        experiment.check(run)


def resume_line(name: str, run: Path) -> str:
    """What to type to go on with a run."""
    runs = run.parent.parent
    options = "--resume" if runs == RUNS else f"'--resume --runs {runs}'"
    return f"make train EXP={name} ARGS={options}"


def new_run(folder: Path) -> Path:
    """A folder that no run has yet, named by date and time."""
    name = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    taken = len(list(folder.glob(f"{name}*")))
    return folder / (f"{name}-{taken + 1}" if taken else name)


def summary(rows: list[dict[str, Any]]) -> str:
    """The final numbers, of the last epoch."""
    last = rows[-1]
    shares = ("validation/accuracy", "test/accuracy", "greedy/exact")
    numbers = [f"{n.replace('/', ' ')} {last[n]:.2%}" for n in shares if n in last]
    others = ("greedy/bleu", "greedy/chrf", "test/aer")
    numbers += [f"{n.replace('/', ' ')} {last[n]:.4g}" for n in others if n in last]
    return f"After epoch {last['epoch']:g}: " + ", ".join(numbers)


def last_run(folder: Path) -> Path:
    """The last run of an experiment's folder.

    Raises:
        FileNotFoundError: If there is none.
    """
    runs = sorted(path.parent for path in folder.glob("*/command.json"))
    if not runs:
        raise FileNotFoundError(
            f"{folder} is no run and holds none; make train EXP=... makes one, in {RUNS}/."
        )
    return runs[-1]


def report(arguments: Sequence[str]) -> int:
    """Draw the figures and write the report of a run again, by default of the newest run."""
    runs = [Path(argument) for argument in arguments] or sorted(RUNS.glob("*/*/"), key=_begun)[-1:]
    if not runs:
        print(
            f"{RUNS}/ holds no run yet; make train EXP=mnist_additive makes one.", file=sys.stderr
        )
        return 1
    try:
        for run in runs:
            experiment, params = reopen_experiment(run, "last")
            experiment.draw(params, run)
            print(f"Report: {_write_report(run)}")
    except EXPECTED as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def reopen(run: Path, checkpoint: str | int) -> tuple[Any, dict[str, Any], Any]:
    """See :func:`experiments.load`."""
    experiment, params = reopen_experiment(run, checkpoint)
    return experiment.sized_model(), {"params": params}, experiment.task


def reopen_experiment(run: Path, checkpoint: str | int) -> tuple[Experiment, Any]:
    """The experiment of a run, as it was set, and its trained parameters."""
    run = find_run(run)
    experiment = experiment_of(run)
    experiment.check(run)
    params = trained(run, experiment, checkpoint)
    experiment.check_params(params)
    return experiment, params


def find_run(run: Path) -> Path:
    """A run's folder, or the last run in an experiment's."""
    return run if (run / "command.json").exists() else last_run(run)


def trained(run: Path, experiment: Experiment, checkpoint: str | int) -> Any:
    """The parameters of a run's checkpoint: `last`, `best` or a step."""
    checkpoints = training.Checkpoints(run / "checkpoints", best=experiment.train.best)
    steps = {"last": max(checkpoints.steps(), default=None), "best": checkpoints.best_step()}
    step = steps.get(str(checkpoint), checkpoint)
    if step not in checkpoints.steps():
        raise FileNotFoundError(
            f"{run} has no checkpoint {checkpoint!r}; it has {checkpoints.steps()}, 'last' and "
            "'best'."
        )
    arrays, _ = checkpoints.restore(int(step))
    return arrays["state"]["params"]


def experiment_of(run: Path) -> Experiment:
    """The experiment of a run, as it was set, if it is still that."""
    asked = training.read_command(run)
    experiment = parse(asked["experiment"], asked["arguments"]).experiment
    for part in ("model", "task"):
        difference = training.difference(asked[part], settings(getattr(experiment, part)))
        if difference:
            raise ValueError(
                f"the {part} of {asked['experiment']} has changed since {run} was trained; - is "
                f"what it was, + what it is:\n{difference}\nRestore "
                f"experiments/configs/{asked['experiment']}.py, or train again."
            )
    return experiment


def _begun(run: Path) -> float:
    """When a run began."""
    return (run / "command.json").stat().st_mtime if (run / "command.json").exists() else 0.0


def _write_report(run: Path) -> Path:
    # Figures need matplotlib, which the help of an experiment does without.
    from experiments.report import write_report

    return write_report(run)

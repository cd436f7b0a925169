"""The commands behind the command line: train, resume, and report again."""

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Imported for the error that names the extra.
import attn_jax._extras.commands  # noqa: F401
from attn_jax import train as training
from experiments.experiment import Experiment, settings
from experiments.invocation import program, train_line
from experiments.known_paths import allow, allow_options, require_known_paths
from experiments.new_run import begin_run
from experiments.options import RUNS, Command, parse, without_place
from experiments.reopen import find_run, last_run, reopen_experiment
from experiments.stages import announce
from experiments.stored_command import (
    read_stored_command,
    stored_experiment,
    stored_options,
)

EXPECTED = (
    training.RunFolderError,
    training.CheckpointError,
    training.NonFiniteError,
    training.ProcessError,
    OSError,
    ValueError,
)
"""Errors that are reported in a line, without a traceback."""


def train(name: str, arguments: Sequence[str]) -> int:
    """Train an experiment, or resume its last run; draw its figures and write its report."""
    words = without_place(arguments)
    processes = training.Processes()
    try:
        command = parse(name, arguments)
        with training.join(command.place) as processes:
            training.require_same_everywhere(processes, {"experiment": name, "options": words})
            options = [word for word in words if word != "--resume"]
            if command.resume:
                _resume(name, command.runs / name, options, processes)
            else:
                _begin(name, command, options, processes)
    except training.TrainingInterrupted as interruption:
        if processes.leads:
            print(interruption, file=sys.stderr)
        return 128 + interruption.number
    except EXPECTED as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def _begin(name: str, command: Command, options: list[str], processes: training.Processes) -> None:
    experiment, folder = command.experiment, command.runs / name
    with contextlib.ExitStack() as stack:

        def begin() -> str:
            allow_options(experiment, options)
            run = stack.enter_context(begin_run(folder))
            experiment.begin(run)
            return str(run)

        run = Path(processes.first(begin))
        _fit(name, command, run, options, processes, resume=False)


def _resume(name: str, folder: Path, options: list[str], processes: training.Processes) -> None:
    run = Path(processes.first(lambda: str(last_run(folder))))
    # First alone, so that options which are no longer taken are those of the run.
    before = stored_experiment(run)
    stored = read_stored_command(run).arguments
    command = parse(name, [*stored, *options])
    experiment = command.experiment
    is_longer = experiment.train.epochs > before.train.epochs

    def check() -> None:
        allow_options(experiment, options)
        require_known_paths(run, name, experiment)
        _check(run, experiment)

    processes.first(check)
    arguments = [*stored, *options] if is_longer else stored
    _fit(name, command, run, arguments, processes, resume=True)


def _fit(
    name: str,
    options: Command,
    run: Path,
    arguments: list[str],
    processes: training.Processes,
    *,
    resume: bool,
) -> None:
    """Train, draw the figures, write the report, and print where they are."""
    experiment = options.experiment
    before = read_stored_command(run).settings if resume else {}

    def finish(result: training.FitResult) -> None:
        print(summary(result.rows))
        announce("Drawing the figures and judging the attention; this may take a minute")
        _draw(experiment, result.state.params, run, options.language)
        announce("Writing the report")
        report = _write_report(run, options.language)
        print(f"Report: {report}\nReopen: experiments.load({str(run)!r})")

    if processes.leads:
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
            "model": settings(experiment.model, before.get("model")),
            "task": settings(experiment.task, before.get("task")),
            "options": {name: settings(getattr(experiment, name)) for name in experiment.options()},
        },
        on_epoch=lambda state, row: experiment.on_epoch(state.params, row, run),
        on_log=lambda state, row: experiment.on_log(state.params, row, run),
        on_end=finish,
        resume_hint=resume_line(name, run),
    )


def _check(run: Path, experiment: Experiment) -> None:
    """Compare the data with the run's, unless the task differs: `fit` refuses that by itself."""
    stored = read_stored_command(run).settings["task"]
    if stored == settings(experiment.task, stored):
        experiment.check(run)


def resume_line(name: str, run: Path) -> str:
    """Return the shell command that resumes a run."""
    runs = run.parent.parent
    return train_line(name, ["--resume", *(() if runs == RUNS else ("--runs", str(runs)))])


def summary(rows: list[dict[str, Any]]) -> str:
    """Return the final metrics, those of the last epoch, in a line."""
    last = rows[-1]
    fractions = ("validation/accuracy", "test/accuracy", "greedy/exact")
    numbers = [f"{n.replace('/', ' ')} {last[n]:.2%}" for n in fractions if n in last]
    others = ("greedy/bleu", "greedy/chrf", "test/aer_all_words", "test/aer_linked_words")
    others += ("test/dice", "test/ap50", "test/ap", "attention/pointing")
    others += ("test/r2", "test/leader", "test/day_qlike", "test/day_qlike_har")
    numbers += [
        f"{n.replace('/', ' ').replace('_', ' ')} {last[n]:.4g}" for n in others if n in last
    ]
    return f"After epoch {last['epoch']:g}: " + ", ".join(numbers)


def report(arguments: Sequence[str]) -> int:
    """Draw the figures and write the report of runs again, by default of the last run."""
    parser = argparse.ArgumentParser(prog=f"{program()} report", description=report.__doc__)
    parser.add_argument("runs", nargs="*", metavar="RUN", help="folder of a run")
    parser.add_argument(
        "--language",
        choices=("en", "zh"),
        help="language of page and figures; by default the run's own",
    )
    options = parser.parse_args(arguments)
    try:
        for path in map(Path, options.runs or [last_run(RUNS, "*/*")]):
            run = find_run(path)
            with training.lock_run(run) as notes:
                print("".join(f"{note}\n" for note in notes), end="")
                experiment, params = reopen_experiment(run, "last")
                language = options.language or stored_options(run).language
                _draw(experiment, params, run, language)
                print(f"Report: {_write_report(run, language)}")
    except EXPECTED as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def allow_paths(arguments: Sequence[str]) -> int:
    """Let stored runs read their data from these paths."""
    try:
        allow(map(Path, arguments))
    except EXPECTED as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def _draw(experiment: Experiment, params: Any, run: Path, language: str) -> None:
    from experiments.report.figure_words import figures_in

    with figures_in(language):
        experiment.draw(params, run)


def _write_report(run: Path, language: str) -> Path:
    # Figures need matplotlib, which the help of an experiment does without.
    from experiments.report import write_report

    return write_report(run, language=language)

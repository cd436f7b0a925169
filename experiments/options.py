"""The options of the command line, parsed by tyro from an experiment's fields."""

import dataclasses
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from attn_jax.train import Place
from experiments.experiment import Experiment
from experiments.invocation import IS_CLONE, program

RUNS = Path("runs")


@dataclasses.dataclass(frozen=True)
class Command:
    """The options of a training command."""

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    """The experiment's own settings, without a prefix."""
    resume: bool = False
    """Resume the last run of this experiment exactly where it stopped, with its own options."""
    runs: Path = RUNS
    """The folder for all runs; each run makes its own subfolder, EXPERIMENT/DATE-TIME."""
    language: Literal["en", "zh"] = "en"
    """The language of the report and of the words in its figures: English or Chinese."""
    distributed: tuple[str, int, int] | None = None
    """Train in several processes, started one by one: the address HOST:PORT of process 0, how many
    there are, and the number of this one. Slurm, TPU pods and the like need no such option."""

    @property
    def place(self) -> Place | None:
        """The place of this process among those of the run, if it was given."""
        return Place(*self.distributed) if self.distributed else None


def without_place(arguments: Sequence[str]) -> list[str]:
    """Return the words of a command line that are the same for all processes of a run.

    Example:
        >>> without_place(["--distributed", "node1:1234", "2", "0", "--train.epochs", "3"])
        ['--train.epochs', '3']
    """
    words = list(arguments)
    while "--distributed" in words:
        start = words.index("--distributed")
        del words[start : start + 1 + len(dataclasses.fields(Place))]
    return words


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
        prog=f"make train EXP={name} ARGS='...'  |  " * IS_CLONE + f"{program()} train {name}",
        description=sys.modules[f"experiments.configs.{name}"].__doc__,
        config=(tyro.conf.SuppressFixed, tyro.conf.AvoidSubcommands),
    )

"""The rows of the tables: an experiment, perhaps with a task other than its own."""

from typing import NamedTuple

from experiments import catalogue

_OTHER_TASKS = ("mnist_bags",)
_REVERSED = ("translation_additive",)


class Row(NamedTuple):
    """A row of a table.

    Attributes:
        experiment: The name of the experiment.
        data: The value of `--task.name`; the task's own where it is empty.
    """

    experiment: str
    data: str = ""

    @property
    def name(self) -> str:
        """The row's name in the names of files, and in `--rows`."""
        return "-".join(part for part in self if part)

    @property
    def arguments(self) -> list[str]:
        """The words of the command line that make it."""
        return ["--task.name", self.data] if self.data else []


def all_rows() -> dict[str, list[Row]]:
    """Return the rows of each table, by its name."""
    names = list(catalogue.experiments())
    images = [name for name in names if name.startswith("mnist_") and name not in _OTHER_TASKS]
    translators = [name for name in names if name.startswith("translation_")]
    texts = [Row(name, data) for data in ("dates", "grammar") for name in translators]
    return {
        "mnist": [Row(name) for name in images],
        "translation": texts + [Row(name, "reverse") for name in _REVERSED],
    }

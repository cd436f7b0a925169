"""What a person sees of a run: a bar on a terminal, plain lines elsewhere."""

from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as Bar,
)


class Progress:
    """Shows how far a run is.

    Args:
        total_steps: Of the whole run.
        epochs: Of the whole run.
        console: Where to print; the standard output where None.
    """

    def __init__(self, total_steps: int, epochs: int, console: Console | None = None):
        self.console = console or Console(highlight=False)
        self.epochs = epochs
        self._bar = Bar(
            TextColumn("epoch {task.fields[epoch]}/" + str(epochs)),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=self.console,
            refresh_per_second=4,
            disable=not self.console.is_terminal,
        )
        self._task = self._bar.add_task("", total=total_steps, epoch=1, figures="")

    def __enter__(self) -> "Progress":
        """Shows the bar."""
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leaves the bar as it stands."""
        self._bar.stop()

    def say(self, line: str) -> None:
        """Prints a line above the bar.

        Args:
            line: The line, taken literally.
        """
        self.console.print(line, markup=False, soft_wrap=True)

    def show(self, row: Mapping[str, float | int]) -> None:
        """Moves the bar to a row of metrics; the row at an epoch's end becomes a line.

        Args:
            row: A row as in metrics.jsonl.
        """
        figures = _figures(row)
        self._bar.update(self._task, completed=row["step"], epoch=row["epoch"], figures=figures)
        if any(name.startswith(("validation/", "test/")) for name in row):
            self.say(f"epoch {row['epoch']}/{self.epochs}  {figures}")


def _figures(row: Mapping[str, float | int]) -> str:
    shown = [
        f"{name.replace('/', ' ')} {row[name]:.4f}"
        for name in row
        if name.startswith(("train/", "validation/", "test/"))
    ]
    return "  ".join([*shown, f"{row['time/examples_per_second']:,.0f} examples/s"])

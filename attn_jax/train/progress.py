"""What a person sees of a run: a bar on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar


class Progress:
    """Shows how far a run is.

    Args:
        total_steps: Of the whole run.
        epochs: Of the whole run.
        console: Where to print; the standard output where None.
    """

    def __init__(self, total_steps: int, epochs: int, console: Console | None = None):
        # FORCE_COLOR, as CI and notebooks set it, makes no terminal of a pipe.
        self.console = console or Console(highlight=False, force_terminal=sys.stdout.isatty())
        self.epochs = epochs
        self._bar = Bar(
            TextColumn("epoch {task.fields[epoch]}/" + str(epochs)),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=self.console,
            expand=True,
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

    def show(self, row: Mapping[str, float | int], *, at_end: bool) -> None:
        """Moves the bar to a row of metrics.

        Args:
            row: A row as in metrics.jsonl.
            at_end: Whether it is the row of an epoch's end, which becomes a line.
        """
        rate = f"{row['time/examples_per_second']:,.0f} examples/s"
        epoch, step = int(row["epoch"]), float(row["step"])
        figures = f"{_figures(row, 'train')}  {rate}"
        self._bar.update(self._task, completed=step, epoch=epoch, figures=figures)
        if at_end:
            splits = [f"{s} {_figures(row, s)}" for s in ("train", "validation", "test")]
            told = [text for text in splits if not text.endswith(" ")]
            self.say("  |  ".join([f"epoch {epoch}/{self.epochs}", *told, rate]))


def _figures(row: Mapping[str, float | int], split: str) -> str:
    """The metrics of a split; of those it is judged by, the loss only if there is no other."""
    values = {name.split("/", 1)[1]: row[name] for name in row if name.startswith(f"{split}/")}
    if split != "train" and len(values) > 1:
        values.pop("loss", None)
    return "  ".join(f"{name} {value:.4f}" for name, value in values.items())

"""Progress of a run: a bar on a terminal, plain lines elsewhere."""

import contextlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from attn_jax.train.processes.channel import Processes


@contextlib.contextmanager
def log_console(run_dir: Path, processes: Processes) -> Iterator[Console | None]:
    """Open the log of a process.

    Args:
        run_dir: The run's folder.
        processes: The processes of the run.

    Yields:
        A console that writes to `logs/process-<index>.log`; None for process 0, which prints.
    """
    if processes.leads:
        yield None
        return
    path = run_dir / "logs" / f"process-{processes.index}.log"
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        yield Console(file=file, highlight=False)


class Progress:
    """Display of the progress of a run.

    Args:
        total_steps: The number of steps of the whole run.
        epochs: The number of epochs of the whole run.
        console: Where to print; None for standard output.
    """

    def __init__(self, total_steps: int, epochs: int, console: Console | None = None):
        # CI and notebooks set FORCE_COLOR, which must not make Rich take a pipe for a terminal.
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
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the bar, leaving it on the screen."""
        self._bar.stop()

    def say(self, line: str) -> None:
        """Print a line above the bar.

        Args:
            line: The line, without markup.
        """
        self.console.print(line, markup=False, soft_wrap=True)

    def show(self, row: Mapping[str, float | int], *, at_end: bool) -> None:
        """Show a row of metrics in the bar.

        Args:
            row: A row, as in metrics.jsonl.
            at_end: Whether it is the row at the end of an epoch, which is printed as a line.
        """
        rate = f"{row['time/examples_per_second']:,.0f} examples/s"
        epoch, step = int(row["epoch"]), float(row["step"])
        figures = f"{_figures(row, 'train')}  {rate}"
        self._bar.update(self._task, completed=step, epoch=epoch, figures=figures)
        if at_end:
            splits = [f"{s} {_figures(row, s)}" for s in ("train", "validation", "test")]
            shown = [text for text in splits if not text.endswith(" ")]
            self.say("  |  ".join([f"epoch {epoch}/{self.epochs}", *shown, rate]))


def _figures(row: Mapping[str, float | int], split: str) -> str:
    """Return the metrics of a split; outside training, the loss only if there is no other."""
    values = {name.split("/", 1)[1]: row[name] for name in row if name.startswith(f"{split}/")}
    if split != "train" and len(values) > 1:
        values.pop("loss", None)
    return "  ".join(f"{name} {value:.4f}" for name, value in values.items())

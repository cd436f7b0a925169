"""The records of a run, prepared for its report."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from experiments.invocation import train_line

Row = Mapping[str, Any]


def epoch_rows(rows: Sequence[Row]) -> list[Row]:
    """Return the row that ends each epoch: its evaluated row, or its last if it has none.

    Args:
        rows: All rows; an epoch may have several.

    Returns:
        One row per epoch, in order.

    Example:
        >>> from experiments.report.record import epoch_rows
        >>> epoch_rows([{"epoch": 1, "test/loss": 3}, {"epoch": 2}, {"epoch": 2, "step": 9}])
        [{'epoch': 1, 'test/loss': 3}, {'epoch': 2, 'step': 9}]
    """
    ends: dict[Any, Row] = {}
    for row in rows:
        epoch = row.get("epoch")
        if epoch is not None and (_evaluated(row) or not _evaluated(ends.get(epoch, {}))):
            ends[epoch] = row
    return list(ends.values())


def fine_rows(rows: Sequence[Row]) -> list[Row]:
    """Place rows written within an epoch at their fraction of it, for the curves.

    Args:
        rows: All rows.

    Returns:
        The rows, with `epoch` replaced by `step` divided by the steps per epoch where both are
        known.
    """
    ends = [row for row in epoch_rows(rows) if row.get("epoch") and row.get("step")]
    if len(ends) == len(rows) or not ends:
        return list(rows)
    steps = ends[0]["step"] / ends[0]["epoch"]
    return [{**row, "epoch": row["step"] / steps} if "step" in row else row for row in rows]


def final(rows: Sequence[Row], name: str) -> float | None:
    """Return the last value that any row has for a metric."""
    return next((row[name] for row in reversed(rows) if row.get(name) is not None), None)


def commands(command: Mapping[str, Any]) -> dict[str, str]:
    """Return the shell commands that rerun the experiment and that resume its last run.

    Args:
        command: The contents of `command.json`.

    Returns:
        The commands `{"rerun": …, "resume": …}`; empty if the experiment has no name.

    Example:
        >>> from experiments.report.record import commands
        >>> commands({"experiment": "mnist_dot", "arguments": ["--train.seed", "2"]})["rerun"]
        "make train EXP=mnist_dot ARGS='--train.seed 2'"
    """
    name = command.get("experiment")
    if not name:
        return {}
    words = command.get("arguments")
    arguments = [str(a) for a in words if a != "--resume"] if isinstance(words, list) else []
    # A resumed run takes all options from its folder, except where the runs are.
    last = [i for i, argument in enumerate(arguments[:-1]) if argument == "--runs"][-1:]
    runs = [part for i in last for part in arguments[i : i + 2]]
    return {
        "rerun": train_line(str(name), arguments),
        "resume": train_line(str(name), ["--resume", *runs]),
    }


def duration(seconds: float) -> str:
    """Format seconds as text.

    Example:
        >>> from experiments.report.record import duration
        >>> duration(42.3), duration(187), duration(7384)
        ('42 s', '3 min 7 s', '2 h 3 min')
    """
    minutes, rest = divmod(round(timedelta(seconds=seconds).total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _evaluated(row: Row) -> bool:
    return any(name.startswith(("validation/", "test/")) for name in row)

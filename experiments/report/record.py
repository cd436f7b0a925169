"""Makes what a run wrote about itself ready to be shown."""

import shlex
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

Row = Mapping[str, Any]


def epoch_rows(rows: Sequence[Row]) -> list[Row]:
    """Returns the row that ends each epoch: its evaluated one, or else its last.

    Args:
        rows: All rows, which may be several per epoch.

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
    """Places rows written within an epoch at their fraction of it, for the curves.

    Args:
        rows: All rows.

    Returns:
        The rows, ``epoch`` replaced by ``step`` over the steps of one epoch where it is known.
    """
    ends = [row for row in epoch_rows(rows) if row.get("epoch") and row.get("step")]
    if len(ends) == len(rows) or not ends:
        return list(rows)
    steps = ends[0]["step"] / ends[0]["epoch"]
    return [{**row, "epoch": row["step"] / steps} if "step" in row else row for row in rows]


def final(rows: Sequence[Row], name: str) -> float | None:
    """Returns the last value that any row has for a metric."""
    return next((row[name] for row in reversed(rows) if row.get(name) is not None), None)


def commands(command: Mapping[str, Any]) -> dict[str, str]:
    """Writes the shell lines that run the experiment anew and that go on with this run.

    Args:
        command: ``command.json``.

    Returns:
        ``{"rerun": …, "resume": …}``, quoted for a shell and for make; empty without a name.

    Example:
        >>> from experiments.report.record import commands
        >>> commands({"experiment": "mnist_dot", "arguments": ["--train.seed", "2"]})["rerun"]
        "make train EXP=mnist_dot ARGS='--train.seed 2'"
    """
    name = command.get("experiment")
    if not name:
        return {}
    start = f"make train EXP={shlex.quote(str(name))}"
    arguments = [str(a) for a in command.get("arguments", []) if a != "--resume"]
    # Resuming takes its options from the run, and must only be told where the runs are.
    folder = [at for at, argument in enumerate(arguments[:-1]) if argument == "--runs"][-1:]
    where = [part for at in folder for part in arguments[at : at + 2]]
    return {
        "rerun": start + _for_make(arguments),
        "resume": start + _for_make(["--resume", *where]),
    }


def _for_make(arguments: Sequence[str]) -> str:
    """Writes arguments for make, which expands ``$``, and then for the shell that it starts."""
    return f" ARGS={shlex.quote(shlex.join(arguments).replace('$', '$$'))}" if arguments else ""


def duration(seconds: float) -> str:
    """Writes seconds for people.

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

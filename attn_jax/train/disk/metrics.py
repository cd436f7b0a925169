"""The rows of metrics of a run: `metrics.jsonl`, and TensorBoard events made from the same."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attn_jax.train.disk import manifest

NAME = "metrics.jsonl"
Row = Mapping[str, float | int]


def read_metrics(run_dir: str | Path) -> list[dict[str, Any]]:
    r"""The rows of a run's `metrics.jsonl`; a line that a crash cut short ends them.

    Args:
        run_dir: The run's folder.

    Returns:
        A flat dictionary for each row, in the order of their steps.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "metrics.jsonl").write_text('{"step": 1}\n{"st')
        >>> read_metrics(folder)
        [{'step': 1}]
    """
    try:
        lines = (Path(run_dir) / NAME).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    rows = []
    for line in lines:
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


class Records:
    """Writes rows as they come.

    Args:
        run_dir: The run's folder.
        step: The step to go on from: rows past it are cut from what an earlier process wrote.
    """

    def __init__(self, run_dir: Path, step: int = 0):
        kept = [row for row in read_metrics(run_dir) if row["step"] <= step]
        manifest.write_atomically(run_dir / NAME, "".join(_line(row) for row in kept))
        # Events are framed by checksums and written in blocks, so they are made anew, not cut.
        for events in run_dir.glob("events.out.tfevents.*"):
            events.unlink()
        from tensorboardX import SummaryWriter  # Half a second that help and listings do without.

        self._events = SummaryWriter(str(run_dir), flush_secs=10)
        self._file = (run_dir / NAME).open("a", encoding="utf-8")
        for row in kept:
            self._add_events(row)

    def write(self, row: Row) -> None:
        """Appends a row.

        Args:
            row: Flat; it has a `step`, and the wall clock as `time/unix`.
        """
        self._file.write(_line(row))
        self._file.flush()
        self._add_events(row)

    def sync(self) -> None:
        """Writes all rows through to the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes both files."""
        self._file.close()
        self._events.close()

    def _add_events(self, row: Row) -> None:
        for name, value in row.items():
            if name != "step" and not name.startswith("time/unix"):
                self._events.add_scalar(name, value, int(row["step"]), walltime=row["time/unix"])


def _line(row: Row) -> str:
    return json.dumps(row, allow_nan=False) + "\n"

"""The metrics of a run: the rows of `metrics.jsonl`, and TensorBoard events with the same."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attn_jax.train.disk import manifest

NAME = "metrics.jsonl"
Row = Mapping[str, float | int]


def read_metrics(run_dir: str | Path) -> list[dict[str, Any]]:
    r"""Read the rows of a run's `metrics.jsonl`, without a last line that a crash cut short.

    Args:
        run_dir: The run's folder.

    Returns:
        A flat dictionary for each row, in the order of steps.

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


class MetricsWriter:
    """Writer of a run's rows, to `metrics.jsonl` and TensorBoard.

    Args:
        run_dir: The run's folder.
        step: The step to resume from; later rows of an earlier process are removed.
    """

    def __init__(self, run_dir: Path, step: int = 0):
        rows = [row for row in read_metrics(run_dir) if row["step"] <= step]
        manifest.write_atomically(run_dir / NAME, "".join(_line(row) for row in rows))
        # Events are framed by checksums and written in blocks, so they are rewritten, not cut.
        for events in run_dir.glob("events.out.tfevents.*"):
            events.unlink()
        # It takes half a second to import, and help and listings do without it.
        from tensorboardX import SummaryWriter

        self._events = SummaryWriter(str(run_dir), flush_secs=10)
        self._file = (run_dir / NAME).open("a", encoding="utf-8")
        for row in rows:
            self._add_events(row)

    def write(self, row: Row) -> None:
        """Append a row.

        Args:
            row: A flat row with its `step` and, as `time/unix`, the wall clock.
        """
        self._file.write(_line(row))
        self._file.flush()
        self._add_events(row)

    def sync(self) -> None:
        """Flush all rows to the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close both files."""
        self._file.close()
        self._events.close()

    def _add_events(self, row: Row) -> None:
        for name, value in row.items():
            if name != "step" and not name.startswith("time/unix"):
                self._events.add_scalar(name, value, int(row["step"]), walltime=row["time/unix"])


def _line(row: Row) -> str:
    return json.dumps(row, allow_nan=False) + "\n"

"""The metrics of a run: the rows of `metrics.jsonl`, and TensorBoard events with the same."""

import json
import os
import re
import shutil
import warnings
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from attn_jax.train.disk import manifest
from attn_jax.train.disk.stored import is_finite_number, require_file

NAME = "metrics.jsonl"
Row = Mapping[str, float | int]

_CHECKED = re.compile(rb'(\{.*), "crc32": "([0-9a-f]{8})"\}', re.DOTALL)


class _Rows(NamedTuple):
    """The rows of a file.

    Attributes:
        rows: Those that are whole.
        damaged: The numbers of the lines that are not, from 1.
    """

    rows: list[dict[str, Any]]
    damaged: list[int]


def read_metrics(run_dir: str | Path) -> list[dict[str, Any]]:
    r"""Read the rows of a run's `metrics.jsonl`, without a last line that a crash cut short.

    Each line has a checksum. A damaged line is left out, with a warning.

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
    path = Path(run_dir) / NAME
    rows, damaged = _read(path)
    if damaged:
        warnings.warn(f"{path} {_describe(damaged)}, which is left out.", stacklevel=2)
    return rows


def _read(path: Path) -> _Rows:
    try:
        require_file(path)
        *lines, tail = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return _Rows([], [])
    # Lines of version 0.1.0 have no checksums, but no file mixes both kinds.
    checked = any(map(_CHECKED.fullmatch, lines))
    rows = [_parse(line, checked) for line in lines]
    damaged = [number for number, row in enumerate(rows, start=1) if row is None]
    # Only the last line may be cut short. If all of it is there, just the newline is missing.
    last = next(filter(None, (_parse(text, checked) for text in (tail, tail[:-1]))), None)
    return _Rows([row for row in (*rows, last) if row is not None], damaged)


def _parse(line: bytes, checked: bool) -> dict[str, Any] | None:
    """Return the row of a line, or None if it is damaged."""
    if checked:
        match = _CHECKED.fullmatch(line)
        if match is None or _checksum(match[1] + b"}") != match[2]:
            return None
        line = match[1] + b"}"
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    is_row = isinstance(row, dict) and "step" in row and all(map(is_finite_number, row.values()))
    return row if is_row else None


def _checksum(line: bytes) -> bytes:
    return f"{zlib.crc32(line):08x}".encode()


def _describe(damaged: list[int]) -> str:
    lines = ", ".join(map(str, damaged))
    return f"is damaged in line{'s' * (len(damaged) > 1)} {lines}"


class MetricsWriter:
    """Writer of a run's rows, to `metrics.jsonl` and TensorBoard.

    A file with damaged lines is kept as `metrics.jsonl.damaged`, and its whole rows are written
    again.

    Args:
        run_dir: The run's folder.
        step: The step to resume from; later rows of an earlier process are removed.
        say: Called with a line for the user if the file is damaged.
    """

    def __init__(self, run_dir: Path, step: int = 0, say: Callable[[str], object] = print):
        rows, damaged = _read(run_dir / NAME)
        if damaged:
            aside = run_dir / f"{NAME}.damaged"
            with manifest.replacing(aside) as draft:
                shutil.copyfile(run_dir / NAME, draft)
            say(f"{NAME} {_describe(damaged)}, which is left out; {aside.name} is the old file.")
        rows = [row for row in rows if row["step"] <= step]
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
                self._events.add_scalar(
                    name, value, int(row["step"]), walltime=row.get("time/unix")
                )


def _line(row: Row) -> str:
    text = json.dumps(row, allow_nan=False)
    return f'{text[:-1]}, "crc32": "{_checksum(text.encode()).decode()}"}}\n'

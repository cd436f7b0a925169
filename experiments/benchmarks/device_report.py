"""The page of the benchmark `device`: all rows, and the thresholds that `auto` should have."""

import dataclasses
import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jax

from experiments.benchmarks.device_cases import WAYS, Setting, Way
from experiments.benchmarks.record import Result, markdown_table, spread

_NONE = "–"
_STREAMED = ("blocks", "pallas")


@dataclasses.dataclass(frozen=True)
class Row:
    """One way to compute one setting.

    Attributes:
        setting: The setting.
        way: The way.
        about: `seconds` of each round, `temporaries` in bytes and the `difference` from float64; or
            `left_out`, the reason why it was not measured.
    """

    setting: Setting
    way: Way
    about: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def median(self) -> float | None:
        """The median of the seconds, if it was measured."""
        return spread(self.about["seconds"])["median"] if self.about.get("seconds") else None

    def as_json(self) -> dict[str, Any]:
        """Return the row as JSON."""
        return {"setting": self.setting._asdict(), "way": self.way._asdict(), **self.about}

    def __str__(self) -> str:
        time = f"{1e3 * self.median:.3f} ms" if self.median else self.about.get("left_out")
        return f"{' '.join(map(str, (*self.setting, *filter(None, self.way))))}: {time}"


def read(path: Path) -> list[Row]:
    """Read the rows of a file with a line of JSON for each."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        about = json.loads(line)
        setting, way = Setting(**about.pop("setting")), about.pop("way")
        blocks = None if way["blocks"] is None else tuple(way["blocks"])
        rows.append(Row(setting, Way(way["name"], blocks), about))
    return rows


def best_blocks(rows: Iterable[Row]) -> tuple[int, int] | None:
    """Return the blocks of the fastest of some rows; None if none was measured."""
    measured = [row for row in rows if row.median]
    return min(measured, key=lambda row: row.median or 0).way.blocks if measured else None


def thresholds(rows: Sequence[Row]) -> list[list[str]]:
    """Return from which length on one way is faster than another, under all masks.

    Args:
        rows: The rows, in which a way that was left out for its size counts as the slower.

    Returns:
        For each type and pass: from which length cuDNN is faster than XLA, streaming than XLA and
        than cuDNN, and which form of streaming is the faster at most settings.
    """
    table = []
    plain = [row for row in rows if row.setting.summary == "none"]
    kinds = dict.fromkeys((row.setting.dtype, row.setting.passes) for row in plain)
    for dtype, passes in kinds:
        chosen = [r for r in plain if (r.setting.dtype, r.setting.passes) == (dtype, passes)]
        times = _times(chosen)
        pairs = (("cudnn",), ("xla",)), (_STREAMED, ("xla",)), (_STREAMED, ("cudnn",))
        table.append([dtype, passes, *(_from(times, *pair) for pair in pairs), _favorite(times)])
    return table


Times = dict[Setting, dict[str, float]]


def _times(rows: Iterable[Row]) -> Times:
    """Return the seconds of each way, of the fastest blocks, by setting."""
    times: Times = {}
    for row in rows:
        ways = times.setdefault(row.setting, {})
        if row.median:
            ways[row.way.name] = min(row.median, ways.get(row.way.name, row.median))
    return {setting: ways for setting, ways in times.items() if len(ways) > 1}


def _from(times: Times, ours: Sequence[str], theirs: Sequence[str]) -> str:
    """Return the least length from which on ours is always the faster."""
    if not any(name in ways for ways in times.values() for name in theirs):
        return _NONE
    wins: dict[int, bool] = {}
    for setting, ways in times.items():
        one, other = (
            min((ways[name] for name in names if name in ways), default=float("inf"))
            for names in (ours, theirs)
        )
        wins[setting.tokens] = wins.get(setting.tokens, True) and one < other
    longest_first = sorted(wins, reverse=True)
    won = list(itertools.takewhile(wins.__getitem__, longest_first))
    return f"{won[-1]:,}" if won else "never"


def _favorite(times: Times) -> str:
    both = [ways for ways in times.values() if set(_STREAMED) <= set(ways)]
    wins = sum(ways["pallas"] < ways["blocks"] for ways in both)
    return f"pallas at {wins} of {len(both)}" if both else _NONE


def table(rows: Sequence[Row]) -> str:
    """Tabulate the milliseconds of each setting, the fastest in bold."""
    lines: dict[Setting, dict[str, Row]] = {}
    for row in rows:
        best = lines.setdefault(row.setting, {}).get(row.way.name)
        if best is None or (row.median or 1e9) < (best.median or 1e9):
            lines[row.setting][row.way.name] = row
    body = []
    for setting, ways in sorted(lines.items()):
        fastest = min((row.median for row in ways.values() if row.median), default=None)
        cells = (ways[name].median if name in ways else None for name in WAYS)
        texts = ((s, f"{1e3 * s:,.3f}") if s else (s, _NONE) for s in cells)
        shown = [f"**{text}**" if s and s == fastest else text for s, text in texts]
        body.append([*map(str, setting), *shown])
    return markdown_table([*Setting._fields, *WAYS], body)


def report(rows: Sequence[Row], *, complete: bool) -> Result:
    """Make the page.

    Args:
        rows: All rows.
        complete: Whether all that was planned was measured.
    """
    tuned = {
        row.setting.dtype: best_blocks(r for r in rows if r.setting == row.setting)
        for row in rows
        if row.way.blocks
    }
    notes = [f"The fastest blocks of the Pallas kernels, {d}: {b}." for d, b in tuned.items()]
    notes += [f"Left out: {row}." for row in rows if "left_out" in row.about]
    notes += [] if complete else ["The time was over before all settings were measured."]
    device = jax.devices()[0]
    return Result(
        part="device",
        title="Attention on a GPU or TPU",
        what=_WHAT,
        header=_HEADER,
        rows=thresholds(rows),
        notes=notes,
        more=["## Milliseconds of a call", table(rows)],
        data={"rows": [row.as_json() for row in rows], "device": device.device_kind},
        versions={"device": f"{device.device_kind} x {jax.device_count()}"},
    )


_HEADER = (
    "type", "passes", "cuDNN beats XLA from", "streaming beats XLA from",
    "streaming beats cuDNN from", "faster form of streaming",
)  # fmt: skip
_WHAT = (
    "From how many queries and keys on one implementation of attention is faster than another, "
    'under all masks: what `ops.attention(implementation="auto")` should take where. `xla` holds '
    "the whole map, `cudnn` is cuDNN's kernel, `blocks` the streaming form that XLA compiles, and "
    "`pallas` the kernels of this library, whose blocks are tuned first; their backward pass is "
    "that of `blocks`. The batch is as large as fills 16,384 tokens; all ways take turns, and the "
    "table shows medians. Results are checked against float64 in some rows."
)

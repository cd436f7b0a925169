"""Results of benchmarks, with machine, versions and date, as Markdown and as JSON."""

import dataclasses
import datetime
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs" / "benchmarks"
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of one part.

    Attributes:
        part: The name of the part.
        title: The title of the page.
        what: A paragraph on what was measured, and how.
        header: The header of the table.
        rows: The rows of the table, as text.
        notes: Notes on the numbers, a sentence or two each.
        more: Further Markdown after the notes, a table or a figure each.
        data: The numbers, for JSON.
        versions: The versions of peers, besides the project's own.
        where: The machine, as `machine` described it before the measurement.
    """

    part: str
    title: str
    what: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    more: Sequence[str] = ()
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    where: Mapping[str, Any] = dataclasses.field(default_factory=lambda: machine())


def machine() -> dict[str, Any]:
    """Describe this machine and its load, as far as timings depend on them."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": _processor(),
        "cores used": usable,
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}",
        "load before": f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown",
        "python": platform.python_version(),
    }


def commit() -> str:
    """Return the commit that is checked out, with a + if files differ from it."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--exclude=*"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or "unknown"


def state_of_the_code() -> str:
    """Return a digest of the library's and the experiments' sources."""
    digest = hashlib.sha256()
    for package in ("attn_jax", "experiments"):
        for path in sorted((ROOT / package).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def limit_cores(most: int) -> None:
    """Restrict this process and its children to some cores; call it before JAX counts them."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:most])


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def write(result: Result, folder: Path = DOCS) -> Path:
    """Write `<part>.md` and `<part>.json`, and print the table.

    Args:
        result: The result.
        folder: The folder to write to.

    Returns:
        The page's path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / f"{result.part}.md"
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES} | {**result.versions}
    described = [f"{name}: {value}" for name, value in {**result.where, **versions}.items()]
    table = markdown_table(result.header, result.rows)
    sections = [
        f"---\norphan: true\n---\n\n# {result.title}",
        result.what,
        table,
        "\n".join(f"- {note}" for note in result.notes),
        *result.more,
        f"Measured on {date} at commit {commit()}. " + "; ".join(described) + ".",
        f"Repeat it: `make bench PARTS={result.part}`.",
    ]
    page.write_text("\n\n".join(filter(None, sections)) + "\n", encoding="utf-8")
    stamp = {"date": date, "commit": commit(), "code": state_of_the_code()}
    data = {**stamp, "machine": {**result.where}, "versions": versions, **result.data}
    text = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
    page.with_suffix(".json").write_text(text, encoding="utf-8")
    print(f"{table}\n\nWritten to {page}")
    return page


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown, with aligned columns.

    Example:
        >>> from experiments.benchmarks.record import markdown_table
        >>> print(markdown_table(["a", "ratio"], [["x", "1.5"]]))
        | a | ratio |
        |---|-------|
        | x | 1.5   |
    """
    rows = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in (header, *rows)
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the median and the quartiles.

    Example:
        >>> from experiments.benchmarks.record import spread
        >>> spread([1, 2, 3, 4, 5])
        {'median': 3.0, 'low': 2.0, 'high': 4.0}
    """
    ordered = sorted(map(float, values))

    def quantile(fraction: float) -> float:
        position = fraction * (len(ordered) - 1)
        low = int(position)
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (position - low) * (ordered[high] - ordered[low])

    return {"median": quantile(0.5), "low": quantile(0.25), "high": quantile(0.75)}


def spread_text(values: Sequence[float], form: str) -> str:
    """Return the median as text, with the quartiles in parentheses.

    Example:
        >>> from experiments.benchmarks.record import spread_text
        >>> spread_text([1, 2, 3, 4, 5], ".1f")
        '3.0 (2.0–4.0)'
    """
    quartiles = spread(values)
    low, high = (format(quartiles[name], form) for name in ("low", "high"))
    return f"{quartiles['median']:{form}} ({low}–{high})"

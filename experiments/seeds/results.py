"""Results, one file of JSON for each task and seed, stamped with the commit."""

import datetime
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def commit() -> str:
    """Return the commit that is checked out, with a plus sign if files have changed since."""
    head, changes = (
        subprocess.run(
            ["git", *words], cwd=ROOT, capture_output=True, text=True, check=False
        ).stdout.strip()
        for words in (["rev-parse", "--short=10", "HEAD"], ["status", "--porcelain", "-uno"])
    )
    return f"{head}+" if changes else head or "unknown"


def result_path(task: str, seed: int, folder: Path) -> Path:
    """Return the file of a task and seed."""
    return folder / f"{task}-{seed}.json"


def write(task: str, seed: int, result: Mapping[str, Any], folder: Path) -> Path:
    """Write a result, with commit and date."""
    path = result_path(task, seed, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    stamped = {"task": task, "seed": seed, "commit": commit(), "date": date, **_rounded(result)}
    path.write_text(json.dumps(stamped, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def _rounded(value: Any) -> Any:
    """Round numbers to four digits, more than three seeds support."""
    if isinstance(value, Mapping):
        return {name: _rounded(item) for name, item in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


def read(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the results of all seeds, by task; a damaged file is named and left out."""
    results: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
            results.setdefault(result["task"], []).append(result)
        except (ValueError, TypeError, KeyError) as error:
            print(f"{path} is no result ({error!r}); measure it again.", file=sys.stderr)
    return results


def is_current(task: str, seed: int, folder: Path) -> bool:
    """Return whether a result is of the commit checked out, with no file changed since."""
    now = commit()
    known = {(task, each["seed"]): each["commit"] for each in read(folder).get(task, [])}
    return not now.endswith("+") and known.get((task, seed)) == now

"""What the tests found out about each family, and the page of the documentation that says it."""

import contextlib
import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

from bridge_families import FAMILIES

PAGE = Path(__file__).parents[2] / "docs" / "bridge.md"
COLUMNS = ["output", "maps", "edited", "gradient"]
MARKS = {True: "yes", False: "no", None: "not tried"}
_results: dict[tuple[str, str], bool] = {}


@contextlib.contextmanager
def record(family: str, column: str) -> Iterator[None]:
    """Note whether a part of a test passes."""
    _results[family, column] = False
    yield
    _results[family, column] = True


def is_complete() -> bool:
    """Whether every test of every family was run, whatever came of it."""
    return all((family, "output") in _results for family in FAMILIES)


def write() -> None:
    """Write the table of the page again, and the versions above it."""
    before, start, rest = PAGE.read_text("utf-8").partition(START)
    after = rest[rest.index(END) :]
    PAGE.write_text(before + start + _table() + after, "utf-8")


START = "<!-- `make bridge` writes this. -->\n"
END = "<!-- until here -->\n"


def _table() -> str:
    versions = ", ".join(
        f"{package} {importlib.metadata.version(package).partition('+')[0]}"
        for package in ("torch", "torchax", "transformers")
    )
    header = ["family", "model", "attention", *COLUMNS]
    lines = [header, ["---"] * len(header), *map(_row, FAMILIES)]
    return f"With {versions}:\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _row(name: str) -> list[str]:
    family = FAMILIES[name]
    marks = [MARKS[_results.get((name, column))] for column in COLUMNS]
    return [name, f"`{family.peer}`", "routed" if family.is_routed else "found", *marks]

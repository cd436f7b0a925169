"""The tables in Markdown, drawn from the results into the page between marks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.benchmarks.record import markdown_table
from experiments.seeds.page import put_between
from experiments.seeds.results import ROOT
from experiments.tables.rows import Row, all_rows

PAGE = ROOT / "docs" / "experiments.md"

Results = Mapping[str, Sequence[Mapping[str, Any]]]


def write_tables(results: Results, page: Path = PAGE) -> None:
    """Put the tables into the page, in place of those that it has.

    A table none of whose rows has a result stays as it is.

    Raises:
        ValueError: If the page has lost the marks between which one stands.
    """
    for name, rows in all_rows().items():
        if not _measured(rows, results):
            continue
        begin = f"<!-- drawn by python -m experiments.tables draw: {name} -->"
        put_between(page, begin, _TABLES[name](rows, results))


def mnist_table(rows: Sequence[Row], results: Results) -> str:
    """Return the test accuracy of each model, one line for each that has a result."""
    lines = []
    for row, seeds in _measured(rows, results):
        accuracy = [100 * seed["metrics"]["test/accuracy"] for seed in seeds]
        lines.append([f"`{row.experiment}`", *_spread(accuracy, 2), *_facts(seeds)])
    return markdown_table(["experiment", "test accuracy, %", "seeds", *_FACTS], lines)


def translation_table(rows: Sequence[Row], results: Results) -> str:
    """Return the exact match and the error rates of each translator and task."""
    lines = []
    for row, seeds in _measured(rows, results):
        exact = [100 * seed["metrics"]["greedy/exact"] for seed in seeds]
        rates = [
            _spread([seed["metrics"][name] for seed in seeds if name in seed["metrics"]], 3)[0]
            for name in ("test/aer_linked_words", "test/aer_all_words")
        ]
        names = [f"`{row.experiment}`", row.data]
        lines.append([*names, _spread(exact, 2)[0], *rates, str(len(seeds)), *_facts(seeds)])
    header = ["experiment", "task", "exact match, %", "error rate, linked words", "all words"]
    return markdown_table([*header, "seeds", *_FACTS], lines)


_TABLES = {"mnist": mnist_table, "translation": translation_table}
_FACTS = ["seconds of training", "commit"]


def _measured(
    rows: Sequence[Row], results: Results
) -> list[tuple[Row, Sequence[Mapping[str, Any]]]]:
    return [(row, results[row.name]) for row in rows if row.name in results]


def _spread(values: Sequence[float], digits: int) -> list[str]:
    """Return the mean with the least and the greatest value, and how many there are.

    Example:
        >>> _spread([99.25, 99.5, 99.6], 2)
        ['99.45 (99.25–99.60)', '3']
    """
    if not values:
        return ["–", "0"]
    mean, low, high = sum(values) / len(values), min(values), max(values)
    ends = f" ({low:.{digits}f}–{high:.{digits}f})" if len(values) > 1 else ""
    return [f"{mean:.{digits}f}{ends}", str(len(values))]


def _facts(seeds: Sequence[Mapping[str, Any]]) -> list[str]:
    known = (seed["training_seconds"] for seed in seeds)
    seconds = sorted(each for each in known if each is not None)
    ends = dict.fromkeys(f"{each:.0f}" for each in seconds[:1] + seconds[-1:])
    commits = dict.fromkeys(seed["commit"] for seed in seeds)
    return ["–".join(ends) or "–", ", ".join(commits)]

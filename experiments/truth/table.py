"""The tables of `docs/truth.md` and short ones of some notebooks, drawn from the results."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from attn_jax.measure import mean_interval
from experiments.benchmarks.record import markdown_table
from experiments.seeds.page import put_between
from experiments.seeds.results import ROOT
from experiments.truth.ways import WAYS

PAGE = ROOT / "docs" / "truth.md"
NOTEBOOKS = ROOT / "notebooks"
_BEGIN = "<!-- drawn by python -m experiments.truth table -->"
_SHORT = re.compile(
    r"(<!-- drawn by python -m experiments\.truth table, for ([\w ]+) -->\n).*?(<!-- end -->)",
    re.DOTALL,
)
_TITLES = {
    "pointing": "How often the top key is one that decides (the pointing game)",
    "mass": "How much of the map lies on the keys that decide",
    "precision": "Of as many top keys as decide, the share that does (precision at *n*)",
}

# What the names of metrics contain that are no shares, between 0 and 1.
_NO_SHARES = ("wer", "qlike", "median_ms")

Results = Mapping[str, Sequence[Mapping[str, Any]]]


def write_table(results: Results, page: Path = PAGE) -> None:
    """Put the tables into the page, in place of those that it has.

    Raises:
        ValueError: If the page has lost the marks between which they stand.
    """
    put_between(page, _BEGIN, tables(results))


def write_short_tables(results: Results, pages: Iterable[Path]) -> None:
    """Put short tables into pages, between marks that name the tasks of each.

    Args:
        results: The results of all tasks.
        pages: The pages; those without a mark stay as they are.
    """
    for page in pages:
        text = page.read_text(encoding="utf-8")
        drawn = _SHORT.sub(
            lambda mark: f"{mark[1]}\n{short_table(results, mark[2].split())}\n\n{mark[3]}", text
        )
        if drawn != text:
            page.write_text(drawn, encoding="utf-8")


def short_table(results: Results, tasks: Sequence[str]) -> str:
    """Return the scores, the card's verdicts and the pointing game of some tasks, in Markdown.

    Ways of asking that none of them has are left out.
    """
    rows = []
    for task in tasks:
        seeds = results[task]
        has_truth = "ways" in seeds[0]
        pointing = _row(task, seeds, "pointing")[1:] if has_truth else ["–"] * (1 + len(WAYS))
        rows.append([f"`{task}`", _scores(seeds), _card(seeds), *pointing])
    header = ["task", "score", "the card reads", "chance", *WAYS]
    filled = [column for column in zip(header, *rows, strict=True) if set(column[1:]) != {"–"}]
    header, *rows = (list(row) for row in zip(*filled, strict=True))
    return markdown_table(header, rows)


def tables(results: Results) -> str:
    """Return the tables in Markdown: the tasks, and then one for each score."""
    sections = [_tasks(results)]
    for score, title in _TITLES.items():
        known = {task: seeds for task, seeds in results.items() if "ways" in seeds[0]}
        rows = [_row(task, seeds, score) for task, seeds in known.items()]
        header = ["task", "chance", *WAYS]
        sections.append(f"**{title}**\n\n{markdown_table(header, rows)}")
    return "\n\n".join(sections)


def _tasks(results: Results) -> str:
    """Return the table of the tasks, their scores, the card's verdicts, and the commits."""
    rows = []
    for task, seeds in results.items():
        truth = f"{seeds[0]['truth']:.3g}" if "truth" in seeds[0] else "not known,"
        keys = f"{truth} of {seeds[0]['keys']:.3g}"
        commits = ", ".join(dict.fromkeys(seed["commit"] for seed in seeds))
        rows.append([f"`{task}`", _scores(seeds), keys, _card(seeds), str(len(seeds)), commits])
    header = ["task", "score", "keys that decide", "the card reads", "seeds", "commit"]
    return markdown_table(header, rows)


def _scores(seeds: Sequence[Mapping[str, Any]]) -> str:
    """Return how well a task is solved, each metric on a line of its own."""
    metrics = {
        name: interval(
            [seed["metrics"][name] for seed in seeds],
            is_share=not any(word in name for word in _NO_SHARES),
        )
        for name in seeds[0]["metrics"]
    }
    return "<br>".join(f"{name.replace('_', ' ')}: {text}" for name, text in metrics.items())


def _card(seeds: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(seed["card"]["reads"] for seed in seeds)


def _row(task: str, seeds: Sequence[Mapping[str, Any]], score: str) -> list[str]:
    """Return the scores of a task by each way, the best mean in bold."""
    values = {
        way: [seed["ways"][way][score] for seed in seeds if way in seed["ways"]] for way in WAYS
    }
    means = {way: sum(each) / len(each) for way, each in values.items() if each}
    best = max(means.values())
    cells = [
        "–"
        if way not in means
        else f"**{interval(values[way])}**"
        if means[way] > best - 5e-3
        else interval(values[way])
        for way in WAYS
    ]
    return [f"`{task}`", f"{seeds[0]['chance']:.2f}", *cells]


def interval(values: Sequence[float], *, is_share: bool = True) -> str:
    """Return the mean over seeds, with the ends of its interval, or with both of two values.

    Args:
        values: A value for each seed.
        is_share: Whether a value cannot leave 0 to 1, so that an interval is cut off there.

    Example:
        >>> interval([0.9, 0.92, 0.94]), interval([0.9, 1, 1]), interval([0.5, 0.25])
        ('0.92 (0.87–0.97)', '0.97 (0.82–1.00)', '0.38 (0.25, 0.50)')
    """
    if len(values) == 2:
        return f"{sum(values) / 2:.2f} ({min(values):.2f}, {max(values):.2f})"
    mean, low, high = (float(each) for each in mean_interval(jnp.array(values)))
    if len(values) < 2:
        return f"{mean:.2f}"
    if is_share:
        low, high = max(low, 0.0), min(high, 1.0)
    return f"{mean:.2f} ({low:.2f}–{high:.2f})"

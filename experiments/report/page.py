"""The page `report.html` of a run."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attn_jax.train import read_command, read_metrics
from attn_jax.train.disk.manifest import write_atomically
from experiments import catalogue
from experiments.report.card import read_card
from experiments.report.figure_words import figures_in
from experiments.report.figures import draw_curves
from experiments.report.pictures import read_pictures
from experiments.report.record import (
    Row,
    commands,
    duration,
    epoch_rows,
    final,
)
from experiments.report.render import render

_ORDER = (
    "digits",
    "bags",
    "texts",
    "stories",
    "utterances",
    "errors",
    "timing",
    "alignments",
    "learning-1",
    "learning-2",
    "error-rate",
    "scores",
    "summaries",
    "summary",
    "viewer",
    "curves",
    "heads",
    "classes",
    "mistakes",
)
_SHOWN_ELSEWHERE = ("experiment", "arguments", "versions", "device", "begun")
_COLUMNS = (
    "train/loss",
    "train/accuracy",
    "validation/loss",
    "validation/accuracy",
    "validation/exact",
    "validation/aer",
    "validation/aer_all_words",
    "validation/aer_linked_words",
    "test/loss",
    "test/accuracy",
    "test/exact",
)
_TRANSLATION = (
    ("greedy/exact", "exact match"),
    ("greedy/bleu", "BLEU"),
    ("greedy/chrf", "chrF"),
    # Version 0.1.0 had one count, without target words that have no gold links.
    ("test/aer", "alignment error rate, linked words"),
    ("test/aer_all_words", "alignment error rate, all words"),
    ("test/aer_linked_words", "alignment error rate, linked words"),
)

# Part of a metric's name, the term as the report writes it, and what it means.
_WORDS = (
    ("exact", "Exact", "The share of outputs without a single wrong token."),
    (
        "aer",
        "AER, alignment error rate",
        "How far the links drawn from the attention miss those that people or the task drew: 0 is "
        "none wrong, 1 none right (Och and Ney, 2003).",
    ),
    ("bleu", "BLEU", "Overlap of one to four words in a row with the reference, from 0 to 100."),
    ("chrf", "chrF", "Overlap of up to six letters in a row with the reference, from 0 to 100."),
    ("ap50", "AP50", "Average precision of boxes that overlap a true one by half or more."),
    ("dice", "Dice", "Twice the shared area over the sum of both areas: 1 is the same mask."),
)


def write_report(run: Path, *, language: str = "en") -> Path:
    """Write `report.html` from the files of a run alone.

    Args:
        run: The run's folder, with `command.json`, `metrics.jsonl` and `figures/`.
        language: The language that the page opens in, and of the words inside its curves, `"en"` or
            `"zh"`, Chinese.

    Returns:
        The page's path.

    Raises:
        FileNotFoundError: If the folder has no metrics yet.
        RunFolderError: If the folder has no `command.json`.
    """
    rows = read_metrics(run)
    if not rows:
        raise FileNotFoundError(f"{run} has no rows in metrics.jsonl yet; train first.")
    with figures_in(language):
        draw_curves(run)
    page = run / "report.html"
    write_atomically(page, _render(run, rows, read_command(run), language))
    return page


def _render(run: Path, rows: Sequence[Row], command: Mapping[str, Any], language: str) -> str:
    ends = epoch_rows(rows)
    return render(
        "report/report.html.jinja",
        list(read_pictures(run / "figures", _ORDER)),
        language=language,
        name=command.get("experiment", run.name),
        description=catalogue.experiments().get(str(command.get("experiment")), ""),
        run=run.name,
        headline=list(_headline(rows)),
        card=read_card(run),
        table=_table(ends),
        terms=_terms(ends, rows),
        rows_within=len(rows) > len(ends),
        commands=commands(command),
        facts=_facts(command),
        settings=list(_flat({k: v for k, v in command.items() if k not in _SHOWN_ELSEWHERE})),
    )


def _headline(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """Yield the numbers of the last epoch, those of the test split first."""
    for name, title in _TRANSLATION:
        value = final(rows, name)
        if value is not None:
            yield title, percent(value) if name.endswith("exact") else f"{value:.4g}"
    for name in ("test/accuracy", "validation/accuracy", "train/accuracy"):
        value = final(rows, name)
        if value is not None:
            yield f"{name.split('/')[0]} accuracy", percent(value)
    loss = final(rows, "train/loss")
    if loss is not None:
        yield "train loss", f"{loss:.4f}"
    epochs = final(rows, "epoch")
    if epochs is not None:
        yield "epochs", f"{epochs:g}"
    seconds = final(rows, "time/elapsed")
    if seconds is not None:
        yield "time", duration(seconds)


def _terms(ends: Sequence[Row], rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Return the terms among the metrics that need a word, with it."""
    metrics = {name for row in [*ends, *rows[-1:]] for name in row}
    return [
        (term, words)
        for part, term, words in _WORDS
        if any(part in name.split("/")[-1] for name in metrics)
    ]


def _table(ends: Sequence[Row]) -> dict[str, list]:
    """Return the header and the cells of the table of epochs."""
    columns = [c for c in _COLUMNS if any(row.get(c) is not None for row in ends)]
    header = ["epoch", *(column.replace("/", " ") for column in columns)]
    return {"header": header, "rows": [[_epoch(r), *(_cell(r, c) for c in columns)] for r in ends]}


def _epoch(row: Row) -> str:
    return f"{row['epoch']:g}" if isinstance(row["epoch"], int | float) else str(row["epoch"])


def _cell(row: Row, column: str) -> str:
    value = row.get(column)
    if not isinstance(value, int | float):
        return "–" if value is None else str(value)
    return percent(value) if column.endswith(("accuracy", "exact")) else f"{value:.4f}"


def percent(share: float) -> str:
    """Format a share in percent, with the two digits that 10,000 test images support."""
    return f"{100 * share:.2f} %"


def _facts(command: Mapping[str, Any]) -> list[tuple[str, str]]:
    device = command.get("device", {})
    if isinstance(device, Mapping):
        device = f"{device.get('count', 1)} × {device.get('kind', 'unknown')}" if device else ""
    facts = [("device", device), *_flat(command.get("versions", {}))]
    return [(name, str(value)) for name, value in facts if value]


def _flat(values: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the leaves of nested mappings under dotted names."""
    if not isinstance(values, Mapping):
        yield prefix, values if isinstance(values, str) else json.dumps(values, ensure_ascii=False)
        return
    for name, value in values.items():
        yield from _flat(value, f"{prefix}.{name}" if prefix else str(name))

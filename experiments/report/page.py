"""The page `report.html`: one file that loads nothing from the network."""

import base64
import csv
import hashlib
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup

from attn_jax.train import read_command, read_metrics
from attn_jax.train.disk.manifest import write_atomically
from experiments import catalogue
from experiments.report.card import read_card
from experiments.report.figures import draw_curves, read_index
from experiments.report.record import (
    Row,
    commands,
    duration,
    epoch_rows,
    final,
)
from experiments.report.theme import themed

_HERE = Path(__file__).parent
_SHOWN_ELSEWHERE = ("experiment", "arguments", "versions", "device", "begun")
_COLUMNS = (
    "train/loss",
    "train/accuracy",
    "validation/loss",
    "validation/accuracy",
    "validation/exact",
    "validation/aer",
    "test/loss",
    "test/accuracy",
    "test/exact",
)
_TRANSLATION = (
    ("greedy/exact", "exact match"),
    ("greedy/bleu", "BLEU"),
    ("greedy/chrf", "chrF"),
    ("test/aer", "alignment error rate"),
)


class Picture(NamedTuple):
    """A figure for the page, with one of `source`, `page` and `table`.

    Attributes:
        title: The heading.
        caption: A description of what the figure shows, also for screen readers.
        source: A `data:` URI of an image.
        page: The HTML of a viewer, shown in a frame.
        table: The rows of a table, the header first.
    """

    title: str
    caption: str
    source: str = ""
    page: str = ""
    table: Sequence[Sequence[str]] = ()


def write_report(run: Path) -> Path:
    """Write `report.html` from the files of a run alone.

    Args:
        run: The run's folder, with `command.json`, `metrics.jsonl` and `figures/`.

    Returns:
        The page's path.

    Raises:
        FileNotFoundError: If the folder has no metrics yet.
        RunFolderError: If the folder has no `command.json`.
    """
    rows = read_metrics(run)
    if not rows:
        raise FileNotFoundError(f"{run} has no rows in metrics.jsonl yet; train first.")
    draw_curves(run)
    page = run / "report.html"
    write_atomically(page, _render(run, rows, read_command(run)))
    return page


def _render(run: Path, rows: Sequence[Row], command: Mapping[str, Any]) -> str:
    loader = jinja2.FileSystemLoader(_HERE)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters["number"] = _number
    css = (_HERE / "report.css").read_text(encoding="utf-8")
    ends = epoch_rows(rows)
    pictures = list(_pictures(run / "figures"))
    return environment.get_template("report.html.jinja").render(
        css=Markup(css),
        policy=_policy(css, pictures),
        name=command.get("experiment", run.name),
        description=catalogue.experiments().get(str(command.get("experiment")), ""),
        run=run.name,
        headline=list(_headline(rows)),
        pictures=pictures,
        card=read_card(run),
        table=_table(ends),
        rows_within=len(rows) > len(ends),
        commands=commands(command),
        facts=_facts(command),
        settings=list(_flat({k: v for k, v in command.items() if k not in _SHOWN_ELSEWHERE})),
    )


def _policy(css: str, pictures: Sequence[Picture]) -> str:
    """Return the page's content security policy: its own style, and those of framed viewers."""
    style = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    allowed = {"img-src": ["data:"], "script-src": [], "style-src": [f"'sha256-{style}'"]}
    for page in filter(None, (picture.page for picture in pictures)):
        allowed["img-src"].append("blob:")
        for kind in ("script-src", "style-src"):
            allowed[kind] += re.findall(rf"{kind} ('sha256-[^']+')", page)
    sources = [
        f"{kind} {' '.join(dict.fromkeys(values))}" for kind, values in allowed.items() if values
    ]
    return "; ".join(("default-src 'none'", *sources, "base-uri 'none'", "form-action 'none'"))


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


def _table(ends: Sequence[Row]) -> dict[str, list]:
    """Return the header and the cells of the table of epochs."""
    columns = [c for c in _COLUMNS if any(row.get(c) is not None for row in ends)]
    header = ["epoch", *(column.replace("/", " ") for column in columns)]
    return {"header": header, "rows": [[_epoch(r), *(_cell(r, c) for c in columns)] for r in ends]}


def _epoch(row: Row) -> str:
    return f"{row['epoch']:g}" if isinstance(row["epoch"], int | float) else str(row["epoch"])


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _cell(row: Row, column: str) -> str:
    value = row.get(column)
    if not isinstance(value, int | float):
        return "–" if value is None else str(value)
    return percent(value) if column.endswith(("accuracy", "exact")) else f"{value:.4f}"


def percent(share: float) -> str:
    """Format a share in percent, with the two digits that 10,000 test images support."""
    return f"{100 * share:.2f} %"


def _pictures(folder: Path) -> Iterator[Picture]:
    """Yield the figures that `index.json` lists, then any others of the folder."""
    entries = read_index(folder)
    named = {entry["name"] for entry in entries}
    kinds = ("png", "svg", "html", "csv")
    paths = {path.stem: path for suffix in kinds for path in folder.glob(f"*.{suffix}")}
    others = [{"name": n, "title": n, "caption": ""} for n in sorted(paths) if n not in named]
    order = [
        "digits",
        "bags",
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
    ]
    entries.sort(key=lambda e: order.index(e["name"]) if e["name"] in order else len(order))
    for entry in [*entries, *others]:
        path = paths.get(entry["name"])
        if path is None:
            continue
        try:
            yield _picture(path, entry["title"], entry["caption"])
        except (OSError, ValueError, csv.Error) as error:
            print(f"{path} cannot be read ({error}); it is left out.", file=sys.stderr)


def _picture(path: Path, title: str, caption: str) -> Picture:
    if not path.is_file():
        raise ValueError("it is not a file")
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        return Picture(title, caption, table=[header, *rows])
    if path.suffix == ".html":
        return Picture(title, caption, page=path.read_text(encoding="utf-8"))
    return Picture(title, caption, _data_uri(path))


def _data_uri(path: Path) -> str:
    content, kind = path.read_bytes(), "image/png"
    if path.suffix == ".svg":
        content, kind = themed(content.decode("utf-8")).encode(), "image/svg+xml"
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


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

"""The figures of a folder, read to be embedded in a page."""

import base64
import csv
import glob
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from experiments.report.figures import NARROW, read_index
from experiments.report.theme import themed


class Picture(NamedTuple):
    """A figure for the page, with a `source`, a `page` or a `table`.

    Attributes:
        title: The heading.
        caption: A description of what the figure shows, also for screen readers.
        source: A `data:` URI of an image; of a viewer, one to see until it is drawn.
        page: The HTML of a viewer, shown in a frame.
        table: The rows of a table, the header first.
        narrow: `data:` URIs of its parts for a phone, if it has any.
    """

    title: str
    caption: str
    source: str = ""
    page: str = ""
    table: Sequence[Sequence[str]] = ()
    narrow: Sequence[str] = ()


def read_pictures(folder: Path, order: Sequence[str] = ()) -> Iterator[Picture]:
    """Yield the figures that `index.json` lists, then any others of the folder.

    Args:
        folder: The folder of figures.
        order: The names that come first; the others follow in the order of the list.

    Yields:
        The figures; a damaged one is named on standard error and left out.
    """
    entries = read_index(folder)
    named = {entry["name"] for entry in entries}
    kinds = ("png", "svg", "html", "csv")
    paths = {path.stem: path for suffix in kinds for path in folder.glob(f"*.{suffix}")}
    others = [{"name": n, "title": n, "caption": ""} for n in sorted(paths) if n not in named]
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
        page = path.read_text(encoding="utf-8")
        # Until a browser has drawn the frame, as in print, the page's own picture is seen there.
        still = re.search(r'<img src="(data:image/webp;base64,[\w+/=]+)"', page)
        return Picture(title, caption, still[1] if still else "", page)
    parts = sorted((path.parent / NARROW).glob(f"{glob.escape(path.stem)}-*.svg"))
    return Picture(title, caption, _data_uri(path), narrow=[_data_uri(part) for part in parts])


def _data_uri(path: Path) -> str:
    content, kind = path.read_bytes(), "image/png"
    if path.suffix == ".svg":
        content, kind = themed(content.decode("utf-8")).encode(), "image/svg+xml"
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"

"""Say on each page of a benchmark whether the code has changed since it was measured."""

import json
import re
from typing import Any

from sphinx.application import Sphinx

from experiments.benchmarks.record import DOCS, state_of_the_code

_TITLE = re.compile(r"^# .+\n", re.MULTILINE)
_NOTE = """
:::{{admonition}} {title}
:class: note

{text} `make bench PARTS={part}` measures again.
:::
"""


def note(measured: dict[str, Any], part: str) -> str:
    """Return the note for what a benchmark's JSON says of itself; nothing if it is of this code."""
    if measured.get("code") == state_of_the_code():
        return ""
    title = "The code has changed since"
    text = f"Measured on {measured['date']} at commit {measured.get('commit')}."
    if "commit" not in measured:
        text = f"Measured on {measured['date']}, before these pages named their commit."
    return _NOTE.format(title=title, text=text, part=part)


def mark(_app: Sphinx, page: str, source: list[str]) -> None:
    """Put the note below the title."""
    folder, _, part = page.rpartition("/")
    numbers = DOCS / f"{part}.json"
    if folder == "benchmarks" and numbers.exists():
        text = note(json.loads(numbers.read_text(encoding="utf-8")), part)
        source[0] = _TITLE.sub(lambda title: title[0] + text, source[0], count=1)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the mark."""
    app.connect("source-read", mark)
    return {"parallel_read_safe": True}

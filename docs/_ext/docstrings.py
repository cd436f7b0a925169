"""Read the docstrings as they are written: prose with code in single backticks."""

import re
from typing import Any

from sphinx.application import Sphinx

_QUOTED = re.compile(r"``.+?``|(?P<role>:[\w:+-]+:)?`(?P<text>[^`]+)`(?P<link>_?)", re.DOTALL)
_PROSE_SECTIONS = ("Returns:", "Yields:")


def prepare(
    _app: Sphinx, what: str, _name: str, _obj: Any, _options: Any, lines: list[str]
) -> None:
    """Mark what the Google style leaves open, before napoleon reads it.

    Code that is no name is quoted as code; a lone name stays, to become a link where it can.
    What is returned, and what an attribute is, is prose here, of which napoleon would take all up
    to a colon for a type.
    """
    lines[:] = _QUOTED.sub(_quote, "\n".join(lines)).split("\n")
    if what in ("attribute", "data") and lines:
        lines[0] = ": " + lines[0]
    for number, line in enumerate(lines[:-1], 1):
        if line.strip() in _PROSE_SECTIONS:
            indent = len(lines[number]) - len(lines[number].lstrip())
            lines[number] = lines[number][:indent] + ": " + lines[number][indent:]


def _quote(match: re.Match[str]) -> str:
    """Return single-backtick text as code, unless it is a role, a link or a name."""
    text = match["text"]
    if not text or match["role"] or match["link"] or re.fullmatch(r"[\w.]+", text):
        return match[0]
    return f"``{text}``"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register it; it must come before napoleon, whose priority is 500."""
    app.connect("autodoc-process-docstring", prepare, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

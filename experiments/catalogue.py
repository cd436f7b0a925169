"""What experiments there are, read from their files' text: nothing is imported, so it is quick."""

import ast
import difflib
from pathlib import Path

FOLDER = Path(__file__).parent / "configs"


def experiments() -> dict[str, str]:
    """The name of each experiment, and the first line of its docstring.

    An experiment is a file of `configs/` that assigns `experiment` at its top level.
    """
    found = {}
    for path in sorted(FOLDER.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "\nexperiment = " in text:
            found[path.stem] = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    return found


def nearest(name: str, names: list[str]) -> str:
    """A question that names the closest of the known names, or nothing."""
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f" Did you mean {close[0]}?" if close else ""


def table() -> str:
    """A line for each experiment, its name and what it is."""
    found = experiments()
    width = max(map(len, found))
    return "\n".join(f"  {name:<{width}}  {line}" for name, line in found.items())

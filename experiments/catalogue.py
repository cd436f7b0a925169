"""The list of experiments, read from the text of their files: fast, because nothing is imported."""

import ast
import difflib
from pathlib import Path

FOLDER = Path(__file__).parent / "configs"


def experiments() -> dict[str, str]:
    """Return the name of each experiment, and the first line of its docstring.

    An experiment is a file of `configs/` that assigns `experiment` at its top level.
    """
    lines = {}
    for path in sorted(FOLDER.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "\nexperiment = " in text:
            lines[path.stem] = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    return lines


def nearest(name: str, names: list[str]) -> str:
    """Return a question that suggests the closest known name, or nothing."""
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f" Did you mean {close[0]}?" if close else ""


def table() -> str:
    """Return a line for each experiment, with its name and its docstring."""
    lines = experiments()
    width = max(map(len, lines))
    return "\n".join(f"  {name:<{width}}  {line}" for name, line in lines.items())

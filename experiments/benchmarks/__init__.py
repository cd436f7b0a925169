"""Benchmarks: ratios to peers, measured in the same minutes on the same machine.

A part is a module of this folder that is run as a program and whose `main` writes its result with
:mod:`experiments.benchmarks.record`.
"""

import ast
from pathlib import Path


def parts() -> dict[str, str]:
    """The name of each part, and the first line of its docstring; nothing is imported."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("[!_]*.py")):
        text = path.read_text(encoding="utf-8")
        if "\nPART = " in text:
            found[path.stem] = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    return found

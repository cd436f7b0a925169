"""Benchmarks: ratios to peers, measured at the same time on the same machine.

A part is a module of this folder that runs as a program, whose `main` writes its result with
`experiments.benchmarks.record`.
"""

import ast
from pathlib import Path

DEVICE_PARTS = ("device",)
"""The parts that need a GPU or TPU, and so run only if they are named."""


def parts() -> dict[str, str]:
    """Return the name of each part, and the first line of its docstring; nothing is imported."""
    lines = {}
    for path in sorted(Path(__file__).parent.glob("[!_]*.py")):
        text = path.read_text(encoding="utf-8")
        if "\nPART = " in text:
            lines[path.stem] = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    return lines

"""Outputs of notebooks that need weights or train for long, stored with the commit they are of.

`make notebooks` runs this file, which executes these notebooks and stores what they show in
`docs/stored`.
"""

from pathlib import Path

import nbformat
from jupyter_cache.executors.utils import single_nb_execution
from myst_nb.core.config import NbParserConfig
from myst_nb.core.read import create_nb_reader
from myst_parser.config.main import MdParserConfig

from experiments.benchmarks.record import ROOT, commit, state_of_the_code

STORED = ROOT / "docs/stored"
TIMEOUT = 600  # seconds, for one cell, while another notebook shares the cores


def read(path: Path) -> nbformat.NotebookNode:
    """Return a notebook, its cells as MyST-NB sees them."""
    text = path.read_text(encoding="utf-8")
    reader = create_nb_reader(str(path), MdParserConfig(), NbParserConfig(), text)
    if reader is None:
        raise ValueError(f"{path} is not a notebook: it needs the front matter of jupytext")
    return reader.read(text)


def stored(path: Path) -> nbformat.NotebookNode | None:
    """Return the stored notebook, if it has the code cells that the page has today."""
    file = STORED / f"{path.stem}.ipynb"
    if not file.exists():
        return None
    then = nbformat.read(file, as_version=4)
    return then if _code(then) == _code(read(path)) else None


def execute(path: Path) -> nbformat.NotebookNode | None:
    """Return the notebook with its outputs; nothing if a cell failed."""
    notebook = read(path)
    result = single_nb_execution(
        notebook, cwd=str(path.parent), timeout=TIMEOUT, allow_errors=False
    )
    return None if result.err else notebook


def store(path: Path) -> Path:
    """Execute a notebook, and return the file in which its outputs are stored."""
    notebook = execute(path)
    if notebook is None:
        raise SystemExit(f"A cell of {path} failed; `jupytext --execute {path}` shows the error.")
    notebook.metadata["attn_jax"] = {"commit": commit(), "code": state_of_the_code()}
    STORED.mkdir(exist_ok=True)
    file = STORED / f"{path.stem}.ipynb"
    # Warnings name the file that they come from.
    text = nbformat.writes(notebook).replace(f"{ROOT}/", "")
    file.write_text(f"{text}\n", encoding="utf-8")
    return file


def _code(notebook: nbformat.NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def main() -> None:
    """Store the outputs of every notebook whose front matter names weights, or says it is long."""
    from weights import is_long, weights_of

    for path in sorted((ROOT / "notebooks").glob("*.md")):
        text = path.read_text(encoding="utf-8")
        if is_long(text) or weights_of(text):
            print(f"Executing {path.name}", flush=True)
            print(f"Stored in {store(path).relative_to(ROOT)}", flush=True)


if __name__ == "__main__":
    main()

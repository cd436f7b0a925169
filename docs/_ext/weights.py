"""Run a notebook that names weights only where they were fetched; elsewhere show stored outputs.

Its front matter holds a line such as `weights: [minilm]`, names of `pretrained.available()`.
"""

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config
from stored import stored

from attn_jax.pretrained import available
from attn_jax.pretrained.sources import is_fetched
from experiments.benchmarks.record import ROOT, state_of_the_code

_LINE = re.compile(r"^weights: \[(.+)\]$", re.MULTILINE)
_TITLE = re.compile(r"^# .+\n", re.MULTILINE)
_NOTE = """
:::{{admonition}} Shown without its results
:class: warning

This notebook needs weights that were not on the machine that built these pages: {names}. Run
`pretrained.load` with each name once, which fetches {megabytes:.0f} MB, and `make docs` again.
:::
"""
_STORED = """
:::{{admonition}} Results of an earlier day
:class: note

What this page shows was stored at commit {commit}{stale}: the weights it needs
({names}, {megabytes:.0f} MB) were not on the machine that built these pages. `make notebooks`
fetches them and runs it again.
:::
"""


def weights_of(text: str) -> list[str]:
    """Return the names of the weights that a notebook needs."""
    line = _LINE.search(text.partition("\n---\n")[0])
    return [] if line is None else [name.strip() for name in line[1].split(",")]


def missing_weights(text: str) -> list[str]:
    """Return the names of those that are not in the cache; nothing is downloaded."""
    return [name for name in weights_of(text) if not is_fetched(available()[name])]


def exclude(app: Sphinx, config: Config) -> None:
    """Leave the notebooks as they are that lack their weights, and of which nothing is stored."""
    excluded = [
        f"notebooks/{path.name}"
        for path in sorted(Path(app.srcdir, "notebooks").glob("*.md"))
        if missing_weights(path.read_text(encoding="utf-8")) and stored(path) is None
    ]
    config.nb_execution_excludepatterns = (*config.nb_execution_excludepatterns, *excluded)


def explain(_app: Sphinx, name: str, source: list[str]) -> None:
    """Say below the title of such a notebook that it was not run, or when."""
    if not name.startswith("notebooks/") or not (missing := missing_weights(source[0])):
        return
    facts = {
        "names": ", ".join(f"`{each}`" for each in missing),
        "megabytes": sum(available()[each].megabytes for each in missing),
    }
    if (notebook := stored(ROOT / f"{name}.md")) is None:
        note = _NOTE.format(**facts)
    else:
        then = notebook.metadata["attn_jax"]
        stale = "" if then["code"] == state_of_the_code() else " (the code has changed since)"
        note = _STORED.format(commit=then["commit"], stale=stale, **facts)
    source[0] = _TITLE.sub(lambda title: title[0] + note, source[0], count=1)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register both."""
    # Before myst_nb copies its settings.
    app.connect("config-inited", exclude, priority=100)
    app.connect("source-read", explain)
    return {"parallel_read_safe": True}

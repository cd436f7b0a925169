"""Show the stored outputs of notebooks that train for long, or whose weights were not fetched.

The front matter of the first holds `long: true`; without stored outputs they are run. That of the
others has a line such as `weights: [minilm]`, names of `pretrained.available()`.
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
_LONG = re.compile(r"^long: true$", re.MULTILINE)
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

What this page shows was stored at commit {commit}{stale}: {reason} `make notebooks` runs it again.
:::
"""
_ABSENT = """the weights it needs
({names}, {megabytes:.0f} MB) were not on the machine that built these pages."""
_TRAINS = "it trains for long, so it does not run whenever these pages are built."


def is_long(text: str) -> bool:
    """Return whether a notebook trains for long."""
    return _LONG.search(_front_matter(text)) is not None


def _front_matter(text: str) -> str:
    return text.partition("\n---\n")[0]


def weights_of(text: str) -> list[str]:
    """Return the names of the weights that a notebook needs."""
    line = _LINE.search(_front_matter(text))
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
    if name.startswith("notebooks/"):
        note = _note(source[0], stored(ROOT / f"{name}.md"))
        source[0] = _TITLE.sub(lambda title: title[0] + note, source[0], count=1)


def _note(text: str, notebook: Any) -> str:
    missing = missing_weights(text)
    facts = {
        "names": ", ".join(f"`{each}`" for each in missing),
        "megabytes": sum(available()[each].megabytes for each in missing),
    }
    if not missing and not (is_long(text) and notebook is not None):
        return ""
    if notebook is None:
        return _NOTE.format(**facts)
    then = notebook.metadata["attn_jax"]
    stale = "" if then["code"] == state_of_the_code() else " (the code has changed since)"
    reason = _ABSENT.format(**facts) if missing else _TRAINS
    return _STORED.format(commit=then["commit"], stale=stale, reason=reason)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register both."""
    # Before myst_nb copies its settings.
    app.connect("config-inited", exclude, priority=100)
    app.connect("source-read", explain)
    return {"parallel_read_safe": True}

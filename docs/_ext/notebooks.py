"""Notebooks of the documentation, executed two at a time, and offered as files for Jupyter."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.cache.main import JupyterCacheBase
from sphinx.application import Sphinx
from stored import execute, read, stored
from weights import missing_weights

AT_ONCE = 2
INSTALL = "%pip install -q 'attn-jax[all]'"
_TITLE = re.compile(r"^# .+\n", re.MULTILINE)
_LINK = """
```{{raw}} html
<p><a href="{name}.ipynb" download>Download as .ipynb</a>, for Jupyter or Colab: it installs the
library first.</p>
```
"""


def fill(app: Sphinx) -> None:
    """Fill MyST-NB's cache with what is stored, and with what two notebooks at a time show."""
    if app.config.nb_execution_mode != "cache":
        return
    cache = get_cache(app.config.nb_execution_cache_path)
    waiting = []
    for path in _pages(app):
        if missing_weights(path.read_text(encoding="utf-8")):
            _put(cache, path, stored(path))
        elif not _is_cached(cache, read(path)):
            waiting.append(path)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for path, notebook in zip(waiting, pool.map(execute, waiting), strict=True):
            _put(cache, path, notebook)


def link(_app: Sphinx, page: str, source: list[str]) -> None:
    """Offer the file below the title of each notebook."""
    folder, _, name = page.rpartition("/")
    if folder == "notebooks":
        source[0] = _TITLE.sub(lambda title: title[0] + _LINK.format(name=name), source[0], count=1)


def offer(app: Sphinx, error: Exception | None) -> None:
    """Write each notebook beside its page, with a first cell that installs the library."""
    if error or app.builder.format != "html":
        return
    for path in _pages(app):
        notebook = jupytext.read(path)
        notebook.cells.insert(0, nbformat.v4.new_code_cell(INSTALL))
        jupytext.write(notebook, Path(app.outdir, "notebooks", f"{path.stem}.ipynb"))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register all three."""
    # After myst_nb has made its settings.
    app.connect("builder-inited", fill, priority=900)
    app.connect("source-read", link)
    app.connect("build-finished", offer)
    return {"parallel_read_safe": True}


def _pages(app: Sphinx) -> list[Path]:
    return sorted(Path(app.srcdir, "notebooks").glob("*.md"))


def _is_cached(cache: JupyterCacheBase, notebook: nbformat.NotebookNode) -> bool:
    try:
        cache.match_cache_notebook(notebook)
    except KeyError:
        return False
    return True


def _put(cache: JupyterCacheBase, path: Path, notebook: nbformat.NotebookNode | None) -> None:
    # A notebook that failed is executed once more by MyST-NB, which shows the error.
    if notebook is not None:
        bundle = CacheBundleIn(notebook, str(path))
        cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)

"""Notebooks of the documentation, executed two at a time, and offered as files for Jupyter."""

import base64
import re
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jupytext
import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.cache.main import JupyterCacheBase
from sphinx.application import Sphinx
from stored import execute, read, stored
from weights import is_long, missing_weights

from experiments.benchmarks.record import ROOT

AT_ONCE = 2
INSTALL = """\
import importlib.util

if importlib.util.find_spec("attn_jax") is None:
    %pip install -q "attn-jax[all]"
"""
COLAB = "https://colab.research.google.com"
_TITLE = re.compile(r"^# .+\n", re.MULTILINE)
_LINK = """
```{{raw}} html
<p><a href="{name}.ipynb" download>Download as .ipynb</a>, or <a href="{colab}">{verb} Colab</a>.
The first cell installs the library where it is missing.</p>
```
"""
_IMAGE = re.compile(r"\]\(\.\./docs/images/([\w.-]+\.png)\)")


def fill(app: Sphinx) -> None:
    """Fill MyST-NB's cache with what is stored, and with what two notebooks at a time show."""
    if app.config.nb_execution_mode != "cache":
        return
    cache = get_cache(app.config.nb_execution_cache_path)
    waiting = []
    for path in _pages(app):
        text = path.read_text(encoding="utf-8")
        kept = stored(path) if is_long(text) or missing_weights(text) else None
        if kept is not None or missing_weights(text):
            _put(cache, path, kept)
        elif not _is_cached(cache, read(path)):
            waiting.append(path)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for path, notebook in zip(waiting, pool.map(execute, waiting), strict=True):
            _put(cache, path, notebook)


def link(_app: Sphinx, page: str, source: list[str]) -> None:
    """Offer the file below the title of each notebook."""
    folder, _, name = page.rpartition("/")
    if folder == "notebooks":
        address = colab_address(_source_code(), name)
        verb = "open it in" if address else "upload that file to"
        note = _LINK.format(name=name, colab=address or COLAB, verb=verb)
        source[0] = _TITLE.sub(lambda title: title[0] + note, source[0], count=1)


def colab_address(repository: str, name: str) -> str | None:
    """Return the address that opens a page's notebook in Colab, which reads from GitHub alone.

    Args:
        repository: The address of the repository, whose branch `gh-pages` holds these pages.
        name: The name of the page.

    Returns:
        The address; nothing if the repository is elsewhere.

    Example:
        >>> colab_address("https://github.com/owner/name", "mnist")
        'https://colab.research.google.com/github/owner/name/blob/gh-pages/notebooks/mnist.ipynb'
    """
    parts = urlsplit(repository)
    if parts.netloc != "github.com":
        return None
    path = parts.path.rstrip("/").removesuffix(".git")
    return f"{COLAB}/github{path}/blob/gh-pages/notebooks/{name}.ipynb"


def _source_code() -> str:
    """Return the address of the repository."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["urls"]["Source"]


def with_images(text: str, images: Path) -> str:
    """Return Markdown with the images of these pages inside it, so that it can be read elsewhere.

    Args:
        text: The Markdown, which names them as in `![Digits](../docs/images/digits.png)`.
        images: The folder that holds them.
    """

    def inside(image: re.Match[str]) -> str:
        content = base64.b64encode((images / image[1]).read_bytes()).decode()
        return f"](data:image/png;base64,{content})"

    return _IMAGE.sub(inside, text)


def offer(app: Sphinx, error: Exception | None) -> None:
    """Write each notebook beside its page, with a first cell that installs the library."""
    if error or app.builder.format != "html":
        return
    for path in _pages(app):
        notebook = jupytext.read(path)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = with_images(cell.source, Path(app.srcdir, "images"))
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

"""The directive `live-viewer`: an interactive viewer of stored maps inside a page.

    ```{live-viewer} data/minilm.npz
    :layer: 5
    :head: 11
    :query: it
    :title: MiniLM
    ```

The file holds `tokens` and `maps`, `(layers, heads, tokens, tokens)`. The viewer is a frame whose
page is written into this one, so that nothing is fetched, and pages work from a disk.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from attn_jax import plot


def viewer_of(path: Path, title: str) -> plot.Viewer:
    """Return a viewer of the maps in a file."""
    with np.load(path, allow_pickle=False) as file:
        tokens, maps = file["tokens"].tolist(), file["maps"].astype(np.float32)
    # Rows of half precision sum to one within a thousandth.
    maps /= maps.sum(-1, keepdims=True)
    layers = {f"layer {i}": each for i, each in enumerate(maps)}
    return plot.viewer(layers, axes="hqk", tokens=tokens, title=title)


class LiveViewer(SphinxDirective):
    """Shows the maps of a file, opened at a layer, a head and a token."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Callable[[str], Any]] | None] = {
        "layer": directives.nonnegative_int,
        "head": directives.nonnegative_int,
        "query": directives.unchanged_required,
        "title": directives.unchanged_required,
    }

    def run(self) -> list[nodes.Node]:
        """Return the frame."""
        relative, path = self.env.relfn2path(self.arguments[0])
        self.env.note_dependency(relative)
        selection = {name: value for name, value in self.options.items() if name != "title"}
        view = viewer_of(Path(path), self.options["title"]).select(view="tokens", **selection)
        return [nodes.raw("", view._repr_html_(), format="html")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("live-viewer", LiveViewer)
    return {"parallel_read_safe": True}

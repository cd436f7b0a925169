"""A viewer and its selection, shown in a notebook or saved as a page or a figure."""

import functools
import html
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attn_jax.plot.viewer.content import Content
from attn_jax.plot.viewer.export import figure
from attn_jax.plot.viewer.page import page
from attn_jax.plot.viewer.pages import Pages, encode_pages, page_of
from attn_jax.plot.viewer.select import resolve, views
from attn_jax.plot.viewer.still import LISTENER, still, still_address

_FIGURES = (".svg", ".pdf", ".png")


class Viewer:
    """Attention weights and a selection of them; `attn_jax.plot.viewer` makes one.

    A viewer displays itself in a notebook.

    Example:
        >>> import numpy as np
        >>> from attn_jax import plot
        >>> view = plot.viewer(np.full((2, 3, 5, 5), 0.2)).select(layer=1, head=2)
        >>> view
        Viewer('Attention', 6 maps, axes='lhqk', view='matrix', layer=1, head=2)
        >>> view.html().startswith("<!doctype html>")
        True
    """

    def __init__(self, pages: Pages, state: Mapping[str, Any]):
        self._pages = pages
        self._state = {"view": views(pages.contents[0])[0], **state}

    @property
    def _content(self) -> Content:
        return self._pages.contents[self._state.get("page", 0)]

    @property
    def sources(self) -> list[str]:
        """What was taken for what: how each array was read, and what was left out."""
        content = self._content
        shown = [f"{each.name}: {each.reading}" for each in [*content.layers, *content.summaries]]
        return [*shown, *content.also]

    def select(self, **selection: Any) -> "Viewer":
        """Select what the page opens with, and what a figure draws.

        Args:
            **selection: `view` (a tab's own word: `"matrix"`, `"tokens"`, `"heads"`, `"model"`,
                `"neuron"`, `"image"`, `"alignment"`, `"compare"` or `"summary"`), `layer` (number
                or name), `head` (number or `"mean"`), `query` and `key` (number or label),
                `example` or `step` where the page has several (number among them, or name),
                `language` (`"en"` or `"zh"`).

        Returns:
            A viewer of the same weights.

        Raises:
            ValueError: If something selected does not exist.
        """
        page, rest = page_of(self._pages, selection)
        state = {**self._state, **page}
        chosen = Viewer(self._pages, state)._content  # the labels are those of the example chosen
        return Viewer(self._pages, {**state, **resolve(chosen, rest)})

    def html(self) -> str:
        """Return the page: one file that opens anywhere and makes no request.

        Where no script runs, and in print, it is a picture of the selection.
        """
        return "".join(self._parts())

    def _parts(self) -> Iterator[str]:
        payload, blobs = encode_pages(self._pages)
        return page({**payload, "state": self._state}, blobs, self._still)

    def figure(self) -> Any:
        """Draw the selection as a matplotlib figure."""
        return figure(self._content, self._state)

    def save(self, path: str | Path) -> Path:
        """Write the page, or a figure of the selection.

        Args:
            path: File to write, ending in `.html`, `.svg`, `.pdf` or `.png`.

        Returns:
            The path.

        Raises:
            ValueError: If it has another ending.
        """
        path = Path(path)
        if path.suffix not in (".html", *_FIGURES):
            endings = ", ".join((".html", *_FIGURES))
            raise ValueError(f"{path.name!r} ends in {path.suffix!r}; use one of {endings}.")
        # Written beside and renamed, so that an error or a full disk never costs an older page.
        draft = path.with_name(f"{path.name}.tmp")
        try:
            if path.suffix == ".html":
                with draft.open("w", encoding="utf-8") as file:
                    file.writelines(self._parts())
            else:
                self.figure().savefig(draft, format=path.suffix[1:], dpi=200)
            os.replace(draft, path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        return path

    @functools.cached_property
    def _still(self) -> str:
        return still_address(self._content, self._state)

    def _repr_html_(self) -> str:
        """Return the page in a frame that is as high as it, and a picture in place of the frame."""
        title = html.escape(self._content.title)
        return (
            f'<iframe srcdoc="{html.escape(self.html())}" sandbox="allow-scripts allow-downloads" '
            f'title="{title}" style="width:100%;height:44rem;border:0">'
            f'<img src="{self._still}" alt="{title}"></iframe><script>{LISTENER}</script>'
        )

    def _repr_png_(self) -> bytes:
        """Draw the selection as a still picture, for notebooks shown without scripts, as in PDF."""
        return still(self._content, self._state)

    def __repr__(self) -> str:
        content = self._content
        count = sum(len(layer.weights) for layer in content.layers)
        count += sum(len(layer.fields["log_normalizer"]) for layer in content.summaries)
        axes = ", ".join(dict.fromkeys(each.axes for each in [*content.layers, *content.summaries]))
        chosen = "".join(f", {name}={value!r}" for name, value in self._state.items())
        return f"Viewer({content.title!r}, {count} map{'s' * (count > 1)}, {axes=!r}{chosen})"

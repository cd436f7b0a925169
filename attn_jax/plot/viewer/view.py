"""A viewer and what it has selected, shown in a notebook or saved as a page or a figure."""

import html
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attn_jax.plot.viewer.content import Content
from attn_jax.plot.viewer.export import figure
from attn_jax.plot.viewer.page import page
from attn_jax.plot.viewer.select import resolve, views

_FIGURES = (".svg", ".pdf", ".png")


class Viewer:
    """Attention weights, and which of them to look at; :func:`attn_jax.plot.viewer` makes one.

    In a notebook it shows itself.

    Example:
        >>> import numpy as np
        >>> from attn_jax import plot
        >>> view = plot.viewer(np.full((2, 3, 5, 5), 0.2)).select(layer=1, head=2)
        >>> view
        Viewer('Attention', 6 maps, axes='lhqk', view='matrix', layer=1, head=2)
        >>> view.html().startswith("<!doctype html>")
        True
    """

    def __init__(self, content: Content, state: Mapping[str, Any]):
        self._content = content
        self._state = {"view": views(content)[0], **state}

    def select(self, **selection: Any) -> "Viewer":
        """Chooses what is seen first in the page, and what is drawn in a figure.

        Args:
            **selection: ``view`` (``"matrix"``, ``"tokens"``, ``"overview"``, ``"image"``,
                ``"alignment"``, ``"compare"`` or ``"summary"``), ``layer`` (number or name),
                ``head`` (number or ``"mean"``), ``query`` and ``key`` (number or label).

        Returns:
            A viewer of the same weights.

        Raises:
            ValueError: If there is no such thing.
        """
        return Viewer(self._content, {**self._state, **resolve(self._content, selection)})

    def html(self) -> str:
        """Writes the page: one file without a request, which opens anywhere."""
        payload, blobs = self._content.encoded
        return page({**payload, "state": self._state}, blobs)

    def figure(self) -> Any:
        """Draws what is selected as a matplotlib figure."""
        return figure(self._content, self._state)

    def save(self, path: str | Path) -> Path:
        """Writes the page, or a figure of what is selected.

        Args:
            path: Ends in ``.html``, ``.svg``, ``.pdf`` or ``.png``.

        Returns:
            The path.

        Raises:
            ValueError: If it ends otherwise.
        """
        path = Path(path)
        if path.suffix == ".html":
            path.write_text(self.html(), "utf-8")
        elif path.suffix in _FIGURES:
            self.figure().savefig(path, dpi=200)
        else:
            endings = ", ".join((".html", *_FIGURES))
            raise ValueError(f"{path.name!r} ends in {path.suffix!r}; one of {endings} is needed.")
        return path

    def _repr_html_(self) -> str:
        return (
            f'<iframe srcdoc="{html.escape(self.html())}" sandbox="allow-scripts allow-downloads" '
            f'title="{html.escape(self._content.title)}" '
            'style="width:100%;height:44rem;border:0"></iframe>'
        )

    def _repr_png_(self) -> bytes | None:
        """Draw what is selected, for where a notebook is shown without its scripts."""
        try:
            drawn = self.figure()
        except ValueError:  # layers of different shapes have no overview in one figure
            return None
        buffer = io.BytesIO()
        drawn.savefig(buffer, format="png", dpi=144)
        return buffer.getvalue()

    def __repr__(self) -> str:
        content = self._content
        count = sum(len(layer.weights) for layer in content.layers)
        count += sum(len(layer.fields["log_normalizer"]) for layer in content.summaries)
        axes = ", ".join(dict.fromkeys(each.axes for each in [*content.layers, *content.summaries]))
        chosen = "".join(f", {name}={value!r}" for name, value in self._state.items())
        return f"Viewer({content.title!r}, {count} map{'s' * (count > 1)}, {axes=!r}{chosen})"

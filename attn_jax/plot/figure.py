"""The figure under every picture: no pyplot, no global state, text that is never mathematics."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.text import Text
from numpy.typing import NDArray

from attn_jax.plot.colors import INK, MUTED, PAPER, RULE
from attn_jax.plot.fonts import drawable, fallbacks, warn_of_missing
from attn_jax.plot.graphemes import clusters, printable
from attn_jax.plot.labels import label_text, read_labels
from attn_jax.plot.notes import legible_text

_MOST_IN_A_CLUSTER = 16  # characters, of a letter with its accents or of an emoji
_MAX_LABEL_LENGTH = 16
_MAX_LABELS = 40


class Figure(MatplotlibFigure):
    """A matplotlib figure outside pyplot's registry, which displays itself in a notebook.

    Example:
        >>> from attn_jax.plot.figure import Figure
        >>> Figure(figsize=(1.0, 1.0))._repr_png_()[1:4]
        b'PNG'
    """

    def __init__(self, figsize: tuple[float, float] = (4.8, 3.2), **settings: Any):
        settings.setdefault("layout", "constrained")
        super().__init__(figsize=figsize, facecolor=PAPER, **settings)

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=144)
        return buffer.getvalue()


def canvas(
    ax: Axes | None, figsize: tuple[float, float], **settings: Any
) -> tuple[MatplotlibFigure, Axes]:
    """Return the figure and axes to draw on: the caller's, or new ones.

    Args:
        ax: The caller's axes, or None for a new figure.
        figsize: Width and height of a new figure, in inches.
        **settings: Settings of the new figure.

    Returns:
        The figure and the axes.
    """
    if ax is None:
        figure = Figure(figsize, **settings)
        return figure, figure.add_subplot()
    return ax.figure.figure, ax  # the whole figure, even for axes in a subfigure


def tiles(
    rows: int, columns: int, *, aspect: float = 1.0, left: float = 0.06
) -> tuple[Figure, NDArray, Axes]:
    """Lay out small axes of one size, each with room for a title, and axes for a color bar.

    Positions are computed in inches: matplotlib's layout engine would take seconds for a few dozen
    axes.

    Args:
        rows: Number of rows of tiles.
        columns: Number of tiles in a row.
        aspect: Height of a tile over its width.
        left: Left margin, in inches.

    Returns:
        The figure, the tiles as an array `(rows, columns)`, and the axes for the color bar.
    """
    width, gap, above, below, right = 0.84, 0.1, 0.24, 0.06, 0.78
    height = width * aspect
    size = (left + columns * (width + gap) + right, rows * (height + above) + below)
    figure = Figure(size, layout="none")

    def place(x: float, top: float, w: float, h: float) -> Axes:
        box = (x / size[0], 1 - (top + h) / size[1], w / size[0], h / size[1])
        return figure.add_axes(box)

    axes = [
        [
            place(left + c * (width + gap), above + r * (height + above), width, height)
            for c in range(columns)
        ]
        for r in range(rows)
    ]
    scale_height = min(size[1] - above - below, 2.4)
    return figure, np.array(axes), place(size[0] - right + 0.04, above, 0.11, scale_height)


def style(ax: Axes, *, frame: bool = True) -> Axes:
    """Set thin lines and subtle ticks; without `frame`, remove both."""
    ax.spines[["top", "right"]].set_visible(False)
    for spine in ax.spines.values():
        spine.set(color=RULE, linewidth=0.8)
    ax.tick_params(colors=MUTED, labelcolor=INK, labelsize=8, length=3, width=0.8)
    if not frame:
        ax.spines[:].set_visible(False)
        ax.set(xticks=[], yticks=[])
    return ax


def plain(label: object, max_length: int = _MAX_LABEL_LENGTH) -> str:
    r"""Return any value as a one-line label that matplotlib can draw.

    Line breaks and tabs become signs, control characters escapes, and text of spaces only `␣`. Long
    text is shortened in the middle, never within a letter and its accents or an emoji.

    Args:
        label: Any value that `str` accepts.
        max_length: Largest number of characters.

    Returns:
        The text; draw it with `parse_math=False`.

    Example:
        >>> from attn_jax.plot.figure import plain
        >>> plain("a\tb"), plain("\x00"), plain(" "), plain("0123456789", max_length=7)
        ('a⇥b', '\\x00', '␣', '012…789')
    """
    text, enough = label_text(label), _MOST_IN_A_CLUSTER * max_length
    if len(text) > 2 * enough:  # a token may have a million characters, of which the middle goes
        text = text[:enough] + text[-enough:]
    text = printable(text)
    if not text.strip():
        return "␣" * min(len(text), max_length)
    parts = clusters(text)
    if len(parts) <= max_length:
        return text
    length = max_length - 1
    return "".join([*parts[: (length + 1) // 2], "…", *parts[len(parts) - length // 2 :]])


def shown_length(label: object) -> int:
    """Return the number of characters that a label takes, a note for what no font has included."""
    return len(legible_text(plain(label)))


def safe(*texts: Text) -> None:
    """Keep matplotlib from reading texts as mathematics, and find fonts for them.

    Args:
        *texts: Texts of a figure. What no font has is replaced by a note, and one warning names it.
    """
    fallback = []
    for text in texts:
        text.set_parse_math(False)
        text.set_usetex(False)
        if not drawable(text.get_text(), text.get_fontproperties()):
            fallback.append(text.get_text())
            text.set_text(legible_text(text.get_text()))
            families = [*text.get_fontfamily(), *fallbacks(text.get_text())]
            # The other fonts have a single weight, and matplotlib logs a request for another.
            text.set(fontfamily=families, fontweight="normal")
    if fallback:
        warn_of_missing(fallback)


def title(ax: Axes, text: object, **settings: Any) -> Text:
    """Set a left-aligned title, as plain text."""
    settings = {"loc": "left", "fontsize": 9, "color": INK, "pad": 5} | settings
    label = ax.set_title(str(text), **settings)
    safe(label)
    return label


def tick_labels(ax: Axes, axis: str, labels: Sequence[object], **settings: Any) -> None:
    """Set plain-text labels at 0, 1, 2 … of the axis `x` or `y`, as many as fit."""
    side = ax.xaxis if axis == "x" else ax.yaxis
    places = labeled(len(labels))
    read = read_labels(labels)
    texts = [plain(read[place]) for place in places]
    side.set_ticks(places)
    # Drawing sets the text of each tick again, so notes must be in it from the start.
    side.set_ticklabels(list(map(legible_text, texts)), **settings)
    warn_of_missing(texts)
    safe(*(label for tick in side.get_major_ticks() for label in (tick.label1, tick.label2)))


def labeled(count: int) -> range:
    """Return the places that get a label out of `count`: all, or every second, third …."""
    return range(0, count, -(-count // _MAX_LABELS))

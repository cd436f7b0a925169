"""The sheet that every picture is drawn on: no pyplot, no global state, text that is only text."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.text import Text
from numpy.typing import NDArray

from attn_jax.plot.colours import INK, MUTED, PAPER, RULE
from attn_jax.plot.fonts import drawable, fallbacks, warn_of_missing

_LONGEST_LABEL = 16
_MOST_LABELS = 40


class Figure(MatplotlibFigure):
    """A matplotlib figure outside pyplot's registry, which shows itself in a notebook.

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
    """Gives the axes to draw on and their figure: those of the caller, or new ones.

    Args:
        ax: The caller's axes, or None for a new figure.
        figsize: Width and height of a new figure, in inches.
        **settings: Of the new figure.

    Returns:
        The figure and the axes.
    """
    if ax is None:
        figure = Figure(figsize, **settings)
        return figure, figure.add_subplot()
    return ax.figure.figure, ax  # the whole figure, also from within a subfigure


def tiles(
    rows: int, columns: int, *, aspect: float = 1.0, left: float = 0.06
) -> tuple[Figure, NDArray, Axes]:
    """Lays out small axes of one size, each with room for a title, and a slim one for a scale.

    The places are reckoned in inches rather than by matplotlib's layout engine, which would take
    seconds for some dozens of axes.

    Args:
        rows: Tiles below each other.
        columns: Tiles beside each other.
        aspect: A tile's height over its width.
        left: The margin at the left, in inches.

    Returns:
        The figure, the tiles as an array ``(rows, columns)``, and the axes for the scale.
    """
    width, gap, above, below, right = 0.84, 0.1, 0.24, 0.06, 0.78
    tall = width * aspect
    sheet = (left + columns * (width + gap) + right, rows * (tall + above) + below)
    figure = Figure(sheet, layout="none")

    def place(x: float, top: float, w: float, h: float) -> Axes:
        share = (x / sheet[0], 1 - (top + h) / sheet[1], w / sheet[0], h / sheet[1])
        return figure.add_axes(share)

    axes = [
        [
            place(left + c * (width + gap), above + r * (tall + above), width, tall)
            for c in range(columns)
        ]
        for r in range(rows)
    ]
    scale_height = min(sheet[1] - above - below, 2.4)
    return figure, np.array(axes), place(sheet[0] - right + 0.04, above, 0.11, scale_height)


def style(ax: Axes, *, frame: bool = True) -> Axes:
    """Sets thin rules and quiet ticks; without ``frame``, neither."""
    ax.spines[["top", "right"]].set_visible(False)
    for spine in ax.spines.values():
        spine.set(color=RULE, linewidth=0.8)
    ax.tick_params(colors=MUTED, labelcolor=INK, labelsize=8, length=3, width=0.8)
    if not frame:
        ax.spines[:].set_visible(False)
        ax.set(xticks=[], yticks=[])
    return ax


def label_text(label: object) -> str:
    r"""Return a label as text: bytes are decoded, a number of a tensor is its value.

    Example:
        >>> from attn_jax.plot.figure import label_text
        >>> label_text(b"ab"), label_text(b"\xff"), label_text(7)
        ('ab', '\\xff', '7')
    """
    if hasattr(label, "detach"):
        label = label.item()  # type: ignore[attr-defined]
    return label.decode("utf-8", "backslashreplace") if isinstance(label, bytes) else str(label)


def plain(label: object, longest: int = _LONGEST_LABEL) -> str:
    r"""Makes any value a label of one line that matplotlib can draw.

    Control characters are written as escapes, spaces alone as ``␣``, and what is too long is cut
    in the middle.

    Args:
        label: Anything that ``str`` takes.
        longest: The most characters to show.

    Returns:
        The text to draw; draw it with ``parse_math=False``.

    Example:
        >>> from attn_jax.plot.figure import plain
        >>> plain("a\tb"), plain(" "), plain("0123456789", longest=7)
        ('a\\tb', '␣', '012…789')
    """
    text = "".join(_printable(character) for character in label_text(label))
    if not text.strip():
        text = "␣" * len(text)
    if len(text) <= longest:
        return text
    kept = longest - 1
    return f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def safe(*texts: Text) -> None:
    """Keep matplotlib from reading these texts as mathematics, and find fonts for them.

    Args:
        *texts: Texts of a figure. Characters that no font has are warned of, once for all.
    """
    others = []
    for text in texts:
        text.set_parse_math(False)
        text.set_usetex(False)
        if not drawable(text.get_text(), text.get_fontproperties()):
            others.append(text)
            families = [*text.get_fontfamily(), *fallbacks(text.get_text())]
            # The other fonts are there in one weight, and matplotlib would log that.
            text.set(fontfamily=families, fontweight="normal")
    if others:
        warn_of_missing(text.get_text() for text in others)


def title(ax: Axes, text: object, **settings: Any) -> Text:
    """Titles the axes at the left, in plain text."""
    settings = {"loc": "left", "fontsize": 9, "color": INK, "pad": 5} | settings
    drawn = ax.set_title(str(text), **settings)
    safe(drawn)
    return drawn


def tick_labels(ax: Axes, axis: str, labels: Sequence[object], **settings: Any) -> None:
    """Puts plain-text labels at 0, 1, 2 … of the axis ``x`` or ``y``, as many as fit."""
    which = ax.xaxis if axis == "x" else ax.yaxis
    which.set_ticks(every(len(labels)))
    which.set_ticklabels([plain(labels[at]) for at in every(len(labels))], **settings)
    safe(*(label for tick in which.get_major_ticks() for label in (tick.label1, tick.label2)))


def every(count: int) -> range:
    """Gives the places of so many labels that can be written: all, or every second, third …."""
    return range(0, count, -(-count // _MOST_LABELS))

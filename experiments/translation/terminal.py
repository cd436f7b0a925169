"""Attention in a terminal: shades under the words, or names where the words do not fit."""

import sys
import unicodedata
from collections.abc import Sequence

import numpy as np
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

_SHADES = " ░▒▓█"
_LEAST = 0.1
_MOST_NAMED = 3
# Between the letters of a script that runs leftwards it keeps a terminal from turning them round.
_LEFT_TO_RIGHT = "\u200e"


def print_alignment(
    weights: np.ndarray,
    source: Sequence[str],
    target: Sequence[str],
    *,
    console: Console | None = None,
) -> None:
    """Print what each written token looked at.

    Source tokens stand above the columns; if they do not fit, those that a token looked at most
    are named instead.

    Args:
        weights: (target, source).
        source: The tokens read.
        target: The tokens written.
        console: Where to print; standard output by default.
    """
    console = console or Console(file=sys.stdout, highlight=False)
    columns, rows = [show_token(token) for token in source], [show_token(t) for t in target]
    margin = max(map(cell_len, rows))
    fits = margin + 3 + sum(_width(token) for token in columns) <= console.width
    lines = shade_lines(weights, columns) if fits else name_lines(weights, columns)
    if fits:
        head = "".join(_fill(token, _width(token)) for token in columns)
        console.print(Text(" " * (margin + 3) + head), no_wrap=True, crop=False)
    for row, line in zip(rows, lines, strict=True):
        padding = " " * (margin - cell_len(row))
        console.print(
            Text(f"{padding}{row}{_LEFT_TO_RIGHT * _leftward(row)} │ {line}"), no_wrap=fits
        )


def shade_lines(weights: np.ndarray, columns: Sequence[str]) -> list[str]:
    """A line of shades for each row, the darkest for a weight of one.

    Args:
        weights: (target, source).
        columns: The tokens above them, which say how wide each shade is.

    Returns:
        The lines.

    Example:
        >>> shade_lines(np.array([[0.0, 1.0], [0.6, 0.4]]), ["a", "日"])
        [' ██', '▓▒▒']
    """
    levels = np.clip(np.rint(weights * (len(_SHADES) - 1)), 0, len(_SHADES) - 1).astype(int)
    widths = [_width(token) for token in columns]
    return [
        "".join(_SHADES[level] * width for level, width in zip(row, widths, strict=True))
        for row in levels
    ]


def name_lines(weights: np.ndarray, columns: Sequence[str]) -> list[str]:
    """The tokens that each row looked at most, with their shares.

    Args:
        weights: (target, source).
        columns: The source tokens.

    Returns:
        The lines.

    Example:
        >>> name_lines(np.array([[0.05, 0.7, 0.25]]), ["a", "b", "c"])
        ['b 70 %, c 25 %']
    """
    lines = []
    for row in weights:
        best = [at for at in np.argsort(-row, kind="stable")[:_MOST_NAMED] if row[at] >= _LEAST]
        lines.append(", ".join(f"{columns[at]} {row[at]:.0%}".replace("%", " %") for at in best))
    return lines


def show_token(token: str) -> str:
    r"""A token as it can stand alone: blanks and control characters visible, marks on a circle.

    Example:
        >>> show_token(" "), show_token("\u0301"), show_token("a b")
        ('␣', '◌́', 'a␣b')
    """
    shown = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in token.replace(" ", "␣"))
    marked = bool(shown) and unicodedata.category(shown[0])[0] == "M"
    return f"◌{shown}" if marked else shown


def _leftward(token: str) -> bool:
    return any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for c in token)


def _width(token: str) -> int:
    # Words are kept apart; single characters stand as close as in the text.
    return max(cell_len(token), 1) + (len(token) > 1 and not token.startswith("◌"))


def _fill(token: str, width: int) -> str:
    return token + _LEFT_TO_RIGHT * _leftward(token) + " " * (width - cell_len(token))

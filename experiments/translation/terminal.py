"""Alignments in a terminal: shades under the words, or names if the words do not fit."""

import sys
import unicodedata
from collections.abc import Sequence

import numpy as np
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

_SHADES = " ░▒▓█"
_MIN_WEIGHT = 0.1
_MAX_NAMED = 3
# It keeps a terminal from reordering the letters of a script that runs leftwards.
_LEFT_TO_RIGHT = "\u200e"


def print_alignment(
    weights: np.ndarray,
    source: Sequence[str],
    target: Sequence[str],
    *,
    console: Console | None = None,
) -> None:
    """Print the attention weights of each target token.

    Source tokens stand above the columns; if they do not fit, the tokens with the largest weights
    are named instead.

    Args:
        weights: Weights, (target, source).
        source: The source tokens.
        target: The target tokens.
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
    """Return a line of shades for each row, the darkest for a weight of one.

    Args:
        weights: Weights, (target, source).
        columns: The tokens above the shades, which have the same widths.

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
    """Name the tokens with the largest weights of each row.

    Args:
        weights: Weights, (target, source).
        columns: The source tokens.

    Returns:
        The lines.

    Example:
        >>> name_lines(np.array([[0.05, 0.7, 0.25]]), ["a", "b", "c"])
        ['b 70 %, c 25 %']
    """
    lines = []
    for row in weights:
        best = [i for i in np.argsort(-row, kind="stable")[:_MAX_NAMED] if row[i] >= _MIN_WEIGHT]
        lines.append(", ".join(f"{columns[i]} {row[i]:.0%}".replace("%", " %") for i in best))
    return lines


def show_token(token: str) -> str:
    r"""Return a token with visible spaces and control characters, and marks on a circle.

    Example:
        >>> show_token(" "), show_token("\u0301"), show_token("a b")
        ('␣', '◌́', 'a␣b')
    """
    visible = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in token.replace(" ", "␣"))
    marked = bool(visible) and unicodedata.category(visible[0])[0] == "M"
    return f"◌{visible}" if marked else visible


def _leftward(token: str) -> bool:
    return any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for c in token)


def _width(token: str) -> int:
    # Words are set apart; single characters stand as close as in the text.
    return max(cell_len(token), 1) + (len(token) > 1 and not token.startswith("◌"))


def _fill(token: str, width: int) -> str:
    return token + _LEFT_TO_RIGHT * _leftward(token) + " " * (width - cell_len(token))

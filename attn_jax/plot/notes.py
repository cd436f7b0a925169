"""Notes in figures, in place of characters that no installed font has."""

import collections
import itertools
import unicodedata

from attn_jax.plot.fonts import missing
from attn_jax.plot.graphemes import clusters

# Parts of Unicode's names of emoji, in fewer words.
_SHORT = {
    "emoji modifier fitzpatrick type-": "tone ",
    "regional indicator symbol letter ": "flag ",
    " sign": "",
}


def legible_text(text: str) -> str:
    """Return a text in which a note stands for what no installed font has.

    The note names an emoji, or the script and the number of letters.

    Args:
        text: Text to draw.

    Example:
        >>> from attn_jax.plot.notes import legible_text
        >>> legible_text("été"), legible_text("a\U000e0fff")
        ('été', 'a[unknown]')
    """
    boxes = frozenset(missing(text))
    if not boxes:
        return text
    parts = itertools.groupby(clusters(text), key=lambda part: not boxes.isdisjoint(part))
    return "".join(
        _note("".join(group)) if is_missing else "".join(group) for is_missing, group in parts
    )


def _note(text: str) -> str:
    """Return what a text is, in words that any font can draw."""
    counts = collections.Counter(map(_name, clusters(text)))
    return "".join(f"[{name} ×{n}]" if n > 1 else f"[{name}]" for name, n in counts.items())


def _name(part: str) -> str:
    """Return the script of a letter with its marks, or the name of an emoji."""
    if unicodedata.category(part[0])[0] in "LM":
        return unicodedata.name(part[0], "unknown").split()[0].capitalize()
    names = [unicodedata.name(c, "unknown").lower() for c in part if c.isprintable()]
    words = ", ".join(name for name in names if not name.startswith("variation selector"))
    for long, short in _SHORT.items():
        words = words.replace(long, short)
    return words or "unknown"

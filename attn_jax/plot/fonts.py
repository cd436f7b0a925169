"""Fonts for characters that matplotlib's default lacks: Chinese, Japanese, Korean, emoji."""

import functools
import importlib.util
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

# Packages of fonts: the first, for Chinese, Japanese and Korean, is in `attn-jax[fonts]`.
_PACKAGES = (
    "noto_cjk_sans_jp_regular",
    *(
        f"fontpkg_noto_sans_{script}"
        for script in ("devanagari", "thai", "tamil", "telugu", "khmer", "arabic")
    ),
)

# Fonts of the system come first: a Chinese one has the forms that its readers know. The last one,
# matplotlib's own, has a box for every character, so that nothing is ever missing.
_FAMILIES = (
    "Noto Sans CJK SC",
    "Source Han Sans SC",
    "PingFang SC",
    "Microsoft YaHei",
    "WenQuanYi Micro Hei",
    "Hiragino Sans",
    "Yu Gothic",
    "Noto Sans CJK JP",
    "Apple SD Gothic Neo",
    "Malgun Gothic",
    "Noto Emoji",
    "Segoe UI Emoji",
    "Last Resort High-Efficiency",
)


def drawable(text: str, usual: FontProperties) -> bool:
    """Return whether the usual font has every character of a text."""
    return text.isascii() or set(map(ord, text)) <= _characters(findfont(usual))


def legible(text: str) -> bool:
    """Return whether some installed font has each character of a text, so that none is a box.

    Args:
        text: The text to draw.

    Returns:
        True if every character can be read.

    Example:
        >>> from attn_jax.plot.fonts import legible
        >>> legible("été"), legible("\U000e0fff")
        (True, False)
    """
    return not missing(text)


def missing(text: str) -> str:
    """Return the characters of a text that no installed font has, each once.

    Args:
        text: Text to draw.
    """
    boxes = _others(text).missing
    return "".join(dict.fromkeys(character for character in text if ord(character) in boxes))


def warn_of_missing(texts: Iterable[str]) -> None:
    """Warn about characters that no installed font has.

    Args:
        texts: The texts to draw.
    """
    boxes = missing("".join(texts))
    if boxes:
        warnings.warn(
            f"no installed font has {boxes!r} ({', '.join(f'U+{ord(c):04X}' for c in boxes)}), so "
            "a note stands in its place. Load a font that has them: "
            "matplotlib.font_manager.fontManager.addfont(path); for Chinese, Japanese and Korean, "
            "pip install 'attn-jax[fonts]'; for Hindi or Thai, fontpkg-noto-sans-devanagari or "
            "fontpkg-noto-sans-thai. plot.viewer shows them with the fonts of the browser.",
            stacklevel=4,
        )


@functools.cache
def _characters(path: str) -> frozenset[int]:
    try:
        return frozenset(get_font(path).get_charmap())
    except (OSError, RuntimeError):  # removed or unreadable since the list was made
        return frozenset()


def fallbacks(text: str = "") -> tuple[str, ...]:
    """Return the installed families that draw what the usual one cannot, the best first.

    Args:
        text: The text to draw. If the known families lack some of it, other installed families
            that have it are added.

    Returns:
        The families, to be appended to those of a text.

    Example:
        >>> from attn_jax.plot.fonts import fallbacks
        >>> fallbacks()[-1]
        'Last Resort High-Efficiency'
    """
    *known, last = _known_families()
    return (*known, *_others(text).families, last)


class _Others(NamedTuple):
    """Families beyond the known ones for a text, and the code points that no font has."""

    families: tuple[str, ...] = ()
    missing: frozenset[int] = frozenset()


def _others(text: str) -> _Others:
    # A line break is not drawn.
    lacking = frozenset(map(ord, text.replace("\n", ""))) - _union(_known_families()[:-1])
    # The count makes the search run again after a font was added.
    return _search(lacking, len(fontManager.ttflist)) if lacking else _Others()


@functools.cache
def _known_families() -> tuple[str, ...]:
    for path in packaged():
        fontManager.addfont(path)
    installed = {font.name for font in fontManager.ttflist}
    return tuple(family for family in _FAMILIES if family in installed)


@functools.cache
def _union(families: tuple[str, ...]) -> frozenset[int]:
    """Return the characters of the usual font and of some families."""
    fonts = [FontProperties(), *(FontProperties(family=family) for family in families)]
    return frozenset().union(*(_characters(findfont(font)) for font in fonts))


@functools.lru_cache(maxsize=256)
def _search(lacking: frozenset[int], _count: int) -> _Others:
    """Search every installed font, which takes about a millisecond for each."""
    families: list[str] = []
    for font in fontManager.ttflist:
        shared = lacking & _characters(font.fname) if font.name != _FAMILIES[-1] else None
        if shared:
            families.append(font.name)
            lacking -= shared
    return _Others(tuple(families), lacking)


def packaged() -> list[Path]:
    """Return the files of the font packages that are installed, without importing them."""
    specs = filter(None, map(importlib.util.find_spec, _PACKAGES))
    folders = [Path(folder) for spec in specs for folder in spec.submodule_search_locations or ()]
    return sorted(path for folder in folders for path in folder.rglob("*.[ot]tf"))

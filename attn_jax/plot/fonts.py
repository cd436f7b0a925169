"""Fonts for the characters that matplotlib's own lacks: Chinese, Japanese, Korean, emoji."""

import functools
import importlib.util
from pathlib import Path

from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

# What `attn-jax[fonts]` installs: one font for all of Chinese, Japanese and Korean.
_PACKAGE = "noto_cjk_sans_jp_regular"

# Those of the system come first: a Chinese one has the forms that its readers know. The last one,
# matplotlib's, has a box for every character there is, so that nothing is ever missing.
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
    """Tells whether the usual font has every character of a text."""
    return text.isascii() or set(map(ord, text)) <= _characters(findfont(usual))


def legible(text: str) -> bool:
    """Tells whether some installed font has each character of a text, so that none is a box.

    Args:
        text: What shall be drawn.

    Returns:
        True if every character can be read.

    Example:
        >>> from attn_jax.plot.fonts import legible
        >>> legible("été"), legible("\U000e0fff")
        (True, False)
    """
    return set(map(ord, text)) <= _legible()


@functools.cache
def _legible() -> frozenset[int]:
    families = [FontProperties(), *(FontProperties(family=f) for f in fallbacks()[:-1])]
    return frozenset().union(*(_characters(findfont(family)) for family in families))


@functools.cache
def _characters(path: str) -> frozenset[int]:
    return frozenset(get_font(path).get_charmap())


@functools.cache
def fallbacks() -> tuple[str, ...]:
    """Names the installed families that draw what the usual one cannot, the best first.

    Returns:
        The families, to be appended to those of a text.

    Example:
        >>> from attn_jax.plot.fonts import fallbacks
        >>> fallbacks()[-1]
        'Last Resort High-Efficiency'
    """
    for path in packaged():
        fontManager.addfont(path)
    installed = {font.name for font in fontManager.ttflist}
    return tuple(family for family in _FAMILIES if family in installed)


def packaged() -> list[Path]:
    """Finds the files of the optional font package, without importing it."""
    found = importlib.util.find_spec(_PACKAGE)
    folders = found.submodule_search_locations if found else None
    return sorted(path for folder in folders or () for path in Path(folder).glob("*.otf"))

"""Chinese for the sentences of a report card, which are composed of words and numbers."""

import functools
import json
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any


@functools.cache
def card_words() -> dict[str, str]:
    """Return Chinese for the words of report cards, by the English with places `{0}` for values."""
    return json.loads((files("attn_jax.plot") / "card_words.json").read_text("utf-8"))


def translation(text: str, words: Mapping[str, str]) -> str | None:
    """Return a text in Chinese, or None if it is not known.

    Args:
        text: One text, or several joined by semicolons.
        words: Chinese by English, with places `{0}`, `{1}` and so on for values, which are
            translated in turn where they are known.

    Example:
        >>> from attn_jax.plot.chinese import translation
        >>> translation("3 of 8", {"{0} of {1}": "{1} 个中的 {0} 个"})
        '8 个中的 3 个'
    """
    whole = _one(text, words)
    if whole is not None or "; " not in text:
        return whole
    parts = [_one(part, words) for part in text.split("; ")]
    return None if None in parts else "；".join(part for part in parts if part is not None)


def card_translations(card: Mapping[str, Any] | None) -> dict[str, str]:
    """Return Chinese for the texts of a card, by the English, as far as it is known.

    Args:
        card: What `attn_jax.plot.card.card_content` returns.
    """
    pairs = {text: translation(text, card_words()) for text in _texts(card)}
    return {text: chinese for text, chinese in pairs.items() if chinese is not None}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(each)


def _one(text: str, words: Mapping[str, str]) -> str | None:
    if text in words:
        return words[text]
    for english, chinese in words.items():
        match = _pattern(english).fullmatch(text) if "{0}" in english else None
        if match is not None:
            values = [translation(value, words) or value for value in match.groups()]
            return chinese.format(*values)
    return None


@functools.cache
def _pattern(english: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{\d\\\}", "([^;]*?)", re.escape(english)))

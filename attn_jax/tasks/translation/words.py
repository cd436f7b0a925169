"""Words and punctuation marks as tokens that give the text back, blanks included.

Joining puts the usual blanks between tokens: one between two words, none before a comma, none
between Chinese characters. Where a text departs from these rules, a token carries a mark: `▁` is a
blank that the rules leave out (`▁%`), and `‿` the absence of a blank that they put in (`‿!`). The
rules follow French before `!`, `?`, `:` and `;`, and English before `%`.
"""

import functools
import re
import sys
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["bare_token", "join_words", "split_words"]

BLANK, TIE = "▁", "‿"

_ELIDED = r"(?:jusqu|lorsqu|puisqu|quoiqu|quelqu|presqu|qu|[cdjlmnst])['’]"
# Scripts that are written without blanks: kana, Han and bopomofo, a token each.
_UNSPACED = "\u3005-\u3007\u3040-\u312f\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# Punctuation of those scripts, and the zero-width space between words of Khmer and Thai.
_GLUED = re.compile(f"[{_UNSPACED}\u200b\u3000-\u303f\ufe30-\ufe4f\uff00-\uffef]")
_CLOSING = frozenset(".,…)]}%/'’”،؛؟।॥။၊។።։")
_OPENING = frozenset("([{/“‘„¿¡°")
_QUOTE = '"'


class _Kind(NamedTuple):
    """The properties of a token that the rules depend on.

    Attributes:
        is_word: It is a whole word of a script that has blanks between words.
        sticks_left: It follows the token before it without a blank.
        sticks_right: The token after it follows without a blank.
        is_elided: It is an elided French word, which sticks to a word alone.
    """

    is_word: bool
    sticks_left: bool
    sticks_right: bool
    is_elided: bool


@functools.cache
def _pattern() -> re.Pattern[str]:
    # `\w` does not match the joiners, nor the marks that are vowels in Indian and other scripts.
    categories = {"Mn", "Mc", "Me", "Cf"}
    extending = [
        char
        for char in map(chr, range(0xAD, sys.maxunicode + 1))
        if unicodedata.category(char) in categories and char != "\u200b"
    ]
    extend = f"{_ranges(extending)}\U0001f3fb-\U0001f3ff"
    letters = f"(?:(?![{_UNSPACED}{TIE}])[\\w{_ranges(extending)}])+"
    symbol = f"[^\\s\\w{BLANK}{TIE}\u200b][{extend}]*"
    flag = "[\U0001f1e6-\U0001f1ff]{2}"
    return re.compile(
        rf"[{BLANK}{TIE}]|{_ELIDED}(?=\w)|[{_UNSPACED}][{extend}]*|{letters}(?:[-'’]{letters}"
        rf"|(?<=\d)[.,:](?=\d){letters})*|{flag}|{symbol}(?:(?<=\u200d){symbol})*|\S",
        re.IGNORECASE,
    )


def _ranges(chars: Sequence[str]) -> str:
    """Write sorted characters as the inside of a character class."""
    codes = list(map(ord, chars))
    starts = [code for code, before in zip(codes, [0, *codes], strict=False) if code != before + 1]
    ends = [code for code, after in zip(codes, [*codes[1:], 0], strict=True) if code != after - 1]
    return "".join(f"\\U{a:08x}-\\U{b:08x}" for a, b in zip(starts, ends, strict=True))


@functools.lru_cache(maxsize=2**16)
def _kind(token: str) -> _Kind:
    is_glued = _GLUED.match(token) is not None
    is_elided = re.fullmatch(_ELIDED, token, re.IGNORECASE) is not None
    return _Kind(
        is_word=re.match(r"\w", token) is not None and not is_glued and not is_elided,
        sticks_left=is_glued or token[0] in _CLOSING,
        sticks_right=is_glued or token[0] in _OPENING,
        is_elided=is_elided,
    )


class _Spacing:
    """The usual blanks between the tokens of a text, from left to right."""

    def __init__(self) -> None:
        self._before = ""
        self._in_quotes = False

    def expects_blank(self, token: str) -> bool:
        """Return whether the rules put a blank before the next token of the text."""
        before, self._before = self._before, token
        closes = token == _QUOTE and self._in_quotes
        opened = before == _QUOTE and self._in_quotes
        self._in_quotes ^= token == _QUOTE
        if not before or closes or opened:
            return False
        left, right = _kind(before), _kind(token)
        elided = left.is_elided and right.is_word
        return not (elided or left.sticks_right or right.sticks_left)


def split_words(text: str) -> list[str]:
    """Split normalized text into words and punctuation marks.

    Args:
        text: Text with single blanks, as `normalize` returns it.

    Returns:
        The tokens, marked where their blanks are not the usual ones.

    Example:
        >>> split_words("Stop, c'est 5 % !"), split_words("Stop!")
        (['Stop', ',', "c'", 'est', '5', '▁%', '!'], ['Stop', '‿!'])
    """
    tokens: list[str] = []
    spacing, before, end = _Spacing(), "", 0
    for match in _pattern().finditer(text):
        token, has_blank = match[0], match.start() > end > 0
        mark = BLANK if has_blank else TIE
        if has_blank == spacing.expects_blank(token):
            tokens.append(token)
        elif _carries_mark(before, token):
            tokens[-1] += mark
            tokens.append(token)
        else:
            tokens.append(mark + token)
        before, end = token, match.end()
    return tokens


def _carries_mark(before: str, token: str) -> bool:
    # Punctuation carries the mark, so that a word is the same token everywhere. After a character
    # that is itself a mark, it would look like a mark before that character.
    has_room = before not in (BLANK, TIE) and not _kind(before).is_word
    return has_room and _kind(token).is_word


def join_words(tokens: Sequence[str]) -> str:
    """Put words and punctuation marks together again.

    Args:
        tokens: Tokens as `split_words` returns them, or any other strings.

    Returns:
        The text, with the usual blanks except where a mark says otherwise.

    Example:
        >>> join_words(["L'", "homme", "(", "seul", ")", ",", "ici", "‿!"])
        "L'homme (seul), ici!"
    """
    text, spacing, pending = [], _Spacing(), ""
    for token in tokens:
        before, bare, after = _read_marks(token)
        usual = BLANK if spacing.expects_blank(bare) else TIE
        if text and (before or pending or usual) == BLANK:
            text.append(" ")
        text.append(bare)
        pending = after
    return "".join(text)


def bare_token(token: str) -> str:
    """Return a token without its marks.

    Args:
        token: A token that `split_words` returned.

    Example:
        >>> bare_token("▁%"), bare_token("‿«‿"), bare_token("▁")
        ('%', '«', '▁')
    """
    return _read_marks(token)[1]


def _read_marks(token: str) -> tuple[str, str, str]:
    """Split a token into the mark before it, the bare token, and the mark after it."""
    before = token[0] if len(token) > 1 and token[0] in (BLANK, TIE) else ""
    bare = token.removeprefix(before)
    after = bare[-1] if len(bare) > 1 and bare[-1] in (BLANK, TIE) else ""
    return before, bare.removesuffix(after), after

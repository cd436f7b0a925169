"""Text into tokens and numbers, and back: characters, words, or words that blanks already part."""

import dataclasses
import functools
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, Protocol, SupportsInt, runtime_checkable

__all__ = [
    "BEGIN",
    "END",
    "PAD",
    "SPECIALS",
    "UNKNOWN",
    "Level",
    "Tokenizer",
    "VocabularyTokenizer",
]
__all__ += ["normalize", "split_tokens", "train_vocabulary"]

PAD, BEGIN, END, UNKNOWN = range(4)
"""The numbers of what fills a row up, begins it, ends it, and of a token never met in training."""

SPECIALS = ("<pad>", "<begin>", "<end>", "⁇")
"""How the four are shown; no token that text is split into is one of them by its number."""

Level = Literal["characters", "words", "blanks"]

_ELIDED = r"(?:jusqu|lorsqu|puisqu|quoiqu|quelqu|presqu|qu|[cdjlmnst])['’]"
# Scripts that are written without blanks: kana and Han, a token each.
_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_CLOSING = frozenset(".,…)]}»%/。，、")
_OPENING = frozenset("([{«/")


@runtime_checkable
class Tokenizer(Protocol):
    """What the rest of the library needs of one."""

    @property
    def size(self) -> int:
        """How many numbers there are, the special ones included."""
        ...

    @property
    def vocabulary(self) -> list[str]:
        """The token of each number."""
        ...

    def tokens(self, text: str) -> list[str]:
        """The tokens of a normalised text, as shown to people."""
        ...

    def encode(self, text: str) -> list[int]:
        """The number of each token, without special ones but `UNKNOWN`."""
        ...

    def decode(self, ids: Iterable[SupportsInt]) -> str:
        """The text of numbers up to the first `END`, leaving `PAD` and `BEGIN` out."""
        ...


def normalize(text: str) -> str:
    r"""Brings text to one form: Unicode's NFC, and one plain blank for any run of white space.

    Args:
        text: Any text.

    Returns:
        The text that tokenisers are trained on and read.

    Example:
        >>> normalize("  cafe\u0301\u202f!")
        'café !'
    """
    return " ".join(unicodedata.normalize("NFC", text).split())


@functools.cache
def _word() -> re.Pattern[str]:
    # `\w` leaves out the marks that vowels are in Indian scripts and others.
    marks = "".join(
        re.escape(mark)
        for mark in map(chr, range(0x300, 0x20000))
        if unicodedata.category(mark)[0] == "M"
    )
    letters = f"(?:(?![{_UNSPACED}])[\\w{marks}])+"
    return re.compile(
        rf"{_ELIDED}(?=\w)|[{_UNSPACED}][{marks}]*|{letters}(?:[-'’]{letters}"
        rf"|(?<=\d)[.,:](?=\d){letters})*|\S",
        re.IGNORECASE,
    )


def split_tokens(text: str, level: Level) -> list[str]:
    """Splits normalised text.

    Words are runs of letters, digits and marks, with a hyphen or an apostrophe inside; what French
    elides is a word of its own, and so is each punctuation mark and each Chinese character.

    Args:
        text: As `normalize` gives it.
        level: ``characters``, ``words``, or ``blanks`` for text whose tokens stand apart already.

    Returns:
        The tokens.

    Example:
        >>> split_tokens("L'homme n'a pas d'amis, aujourd'hui.", "words")
        ["L'", 'homme', "n'", 'a', 'pas', "d'", 'amis', ',', "aujourd'hui", '.']
    """
    if level == "characters":
        return list(text)
    return text.split() if level == "blanks" else _word().findall(text)


def join_tokens(tokens: Sequence[str], level: Level) -> str:
    """Puts tokens together again.

    Args:
        tokens: As `split_tokens` gives them.
        level: The level they were split at.

    Returns:
        A text that splits into the same tokens.

    Example:
        >>> join_tokens(["L'", "homme", "(", "seul", ")", ",", "ici", "!"], "words")
        "L'homme (seul), ici !"
    """
    if level != "words":
        return ("" if level == "characters" else " ").join(tokens)
    text = ""
    for token, before in zip(tokens, ["", *tokens], strict=False):
        text += token if not text or _sticks(before, token) else f" {token}"
    return text


def _sticks(before: str, token: str) -> bool:
    elided = re.fullmatch(_ELIDED, before, re.IGNORECASE) and re.match(r"\w", token)
    unspaced = re.fullmatch(f"[{_UNSPACED}].*", before) and re.match(f"[{_UNSPACED}]", token)
    return bool(elided or unspaced or before in _OPENING or token in _CLOSING)


@dataclasses.dataclass(frozen=True)
class VocabularyTokenizer:
    """Looks tokens up in a list.

    Example:
        >>> letters = VocabularyTokenizer("characters", ("a", "b"))
        >>> letters.encode("abc"), letters.decode([5, 4, 3, 2, 4])
        ([4, 5, 3], 'ba⁇')
    """

    level: Level
    """How text is split."""

    known: tuple[str, ...]
    """The tokens, numbered from 4 on."""

    @functools.cached_property
    def _numbers(self) -> dict[str, int]:
        return {token: number for number, token in enumerate(self.known, start=len(SPECIALS))}

    @property
    def size(self) -> int:
        """How many numbers there are, the special ones included."""
        return len(SPECIALS) + len(self.known)

    @property
    def vocabulary(self) -> list[str]:
        """The token of each number."""
        return [*SPECIALS, *self.known]

    def tokens(self, text: str) -> list[str]:
        """The tokens of a normalised text, as shown to people, known or not."""
        return split_tokens(text, self.level)

    def numbers(self, tokens: Iterable[str]) -> list[int]:
        """The number of each token, `UNKNOWN` for one never met."""
        return [self._numbers.get(token, UNKNOWN) for token in tokens]

    def encode(self, text: str) -> list[int]:
        """The number of each token, without special ones but `UNKNOWN`."""
        return self.numbers(self.tokens(text))

    def decode(self, ids: Iterable[SupportsInt]) -> str:
        """The text of numbers up to the first `END`, leaving `PAD` and `BEGIN` out."""
        vocabulary = self.vocabulary
        return join_tokens([vocabulary[number] for number in until_end(ids)], self.level)


def until_end(ids: Iterable[SupportsInt]) -> list[int]:
    """The numbers before the first `END` that stand for text.

    Args:
        ids: Numbers, as a model gives them.

    Returns:
        Those before `END`, without `PAD` and `BEGIN`.

    Example:
        >>> until_end([1, 7, 3, 0, 8, 2, 9])
        [7, 3, 8]
    """
    kept = []
    for number in map(int, ids):
        if number == END:
            break
        if number not in (PAD, BEGIN):
            kept.append(number)
    return kept


def train_vocabulary(
    sentences: Iterable[Sequence[str]], level: Level, largest: int | None = None
) -> VocabularyTokenizer:
    """Lists the tokens of a training split.

    Args:
        sentences: The tokens of each sentence.
        level: How they were split.
        largest: The most numbers to give, special ones included, the most frequent tokens first;
            None for one to each.

    Returns:
        The tokeniser, its tokens in the order of their spelling.

    Example:
        >>> train_vocabulary(["aab", "ca"], "characters", largest=6).vocabulary[4:]
        ['a', 'b']
    """
    counts = Counter(token for sentence in sentences for token in sentence)
    ranked = sorted(counts, key=lambda token: (-counts[token], token))
    kept = ranked if largest is None else ranked[: largest - len(SPECIALS)]
    return VocabularyTokenizer(level, tuple(sorted(map(sys.intern, kept))))

"""Text into tokens and numbers, and back: characters, words, or words that blanks already part."""

import dataclasses
import functools
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, Protocol, SupportsInt, runtime_checkable

from attn_jax.tasks.translation.words import bare_token, join_words, split_words

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


def split_tokens(text: str, level: Level) -> list[str]:
    """Splits normalised text.

    Words are runs of letters, digits, vowel signs and joiners, with hyphens or apostrophes inside.
    An elided French word is a token of its own, and so is each punctuation mark, each emoji and
    each Chinese character. A token carries a mark where the blank beside it is not the usual one,
    so the tokens give the text back.

    Args:
        text: Text as `normalize` returns it.
        level: `characters`, `words`, or `blanks` for text whose tokens are separated by blanks.

    Returns:
        The tokens.

    Example:
        >>> split_tokens("L'homme n'a pas d'amis, aujourd'hui.", "words")
        ["L'", 'homme', "n'", 'a', 'pas', "d'", 'amis', ',', "aujourd'hui", '.']
    """
    if level == "characters":
        return list(text)
    return text.split() if level == "blanks" else split_words(text)


def join_tokens(tokens: Sequence[str], level: Level) -> str:
    """Put tokens together again.

    Args:
        tokens: Tokens as `split_tokens` returns them.
        level: The level that they were split at.

    Returns:
        The text that they were split from.

    Example:
        >>> join_tokens(["L'", "homme", "(", "seul", ")", ",", "ici", "!"], "words")
        "L'homme (seul), ici !"
    """
    if level == "words":
        return join_words(tokens)
    return ("" if level == "characters" else " ").join(tokens)


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

    @functools.cached_property
    def _bare_numbers(self) -> dict[str, int]:
        # Reversed, so that the first of several spellings counts.
        return {bare_token(token): number for token, number in reversed(self._numbers.items())}

    def _number(self, token: str) -> int:
        """Return the number of a token or, if its blanks are new, of the same word with others."""
        if token in self._numbers or self.level != "words":
            return self._numbers.get(token, UNKNOWN)
        bare = bare_token(token)
        return self._numbers.get(bare, self._bare_numbers.get(bare, UNKNOWN))

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
        return list(map(self._number, tokens))

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

"""Text to tokens and numbers, and back: characters, words, or tokens separated by blanks."""

import dataclasses
import functools
import itertools
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
"""The numbers of padding, the beginning, the end, and a token that training does not have."""

SPECIALS = ("<pad>", "<begin>", "<end>", "⁇")
"""The four special tokens for display. The same characters in a text have other numbers."""

Level = Literal["characters", "words", "blanks"]


@runtime_checkable
class Tokenizer(Protocol):
    """A tokenizer, as far as the rest of the library uses it."""

    @property
    def size(self) -> int:
        """The number of tokens, special ones included."""
        ...

    @property
    def vocabulary(self) -> list[str]:
        """The token of each number."""
        ...

    def tokens(self, text: str) -> list[str]:
        """Split a normalized text into tokens, for display."""
        ...

    def encode(self, text: str) -> list[int]:
        """Return the number of each token; of the special ones, only `UNKNOWN` occurs."""
        ...

    def decode(self, ids: Iterable[SupportsInt]) -> str:
        """Return the text of numbers up to the first `END`, without `PAD` and `BEGIN`."""
        ...


def normalize(text: str) -> str:
    r"""Normalize text: Unicode's NFC, and one plain blank for any run of white space.

    Args:
        text: Any text.

    Returns:
        The text as tokenizers take it.

    Example:
        >>> normalize("  cafe\u0301\u202f!")
        'café !'
    """
    return " ".join(unicodedata.normalize("NFC", text).split())


def split_tokens(text: str, level: Level) -> list[str]:
    """Split normalized text.

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
    """A tokenizer that looks tokens up in a list.

    Example:
        >>> letters = VocabularyTokenizer("characters", ("a", "b"))
        >>> letters.encode("abc"), letters.decode([5, 4, 3, 2, 4])
        ([4, 5, 3], 'ba⁇')
    """

    level: Level
    """The level that text is split at."""

    known: tuple[str, ...]
    """The tokens, numbered from 4."""

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
        """The number of tokens, special ones included."""
        return len(SPECIALS) + len(self.known)

    @property
    def vocabulary(self) -> list[str]:
        """The token of each number."""
        return [*SPECIALS, *self.known]

    def tokens(self, text: str) -> list[str]:
        """Split a normalized text into tokens, known or not, for display."""
        return split_tokens(text, self.level)

    def numbers(self, tokens: Iterable[str]) -> list[int]:
        """Return the number of each token, `UNKNOWN` for one that is not known."""
        return list(map(self._number, tokens))

    def encode(self, text: str) -> list[int]:
        """Return the number of each token; of the special ones, only `UNKNOWN` occurs."""
        return self.numbers(self.tokens(text))

    def decode(self, ids: Iterable[SupportsInt]) -> str:
        """Return the text of numbers up to the first `END`, without `PAD` and `BEGIN`."""
        vocabulary = self.vocabulary
        return join_tokens([vocabulary[number] for number in until_end(ids)], self.level)


def until_end(ids: Iterable[SupportsInt]) -> list[int]:
    """Return the numbers of text before the first `END`.

    Args:
        ids: Numbers as a model writes them.

    Returns:
        The numbers before `END`, without `PAD` and `BEGIN`.

    Example:
        >>> until_end([1, 7, 3, 0, 8, 2, 9])
        [7, 3, 8]
    """
    numbers = itertools.takewhile(lambda number: number != END, map(int, ids))
    return [number for number in numbers if number not in (PAD, BEGIN)]


def train_vocabulary(
    sentences: Iterable[Sequence[str]], level: Level, max_size: int | None = None
) -> VocabularyTokenizer:
    """List the tokens of a training split.

    Args:
        sentences: The tokens of each sentence.
        level: The level that they were split at.
        max_size: The largest vocabulary, special tokens included. It keeps the most frequent
            tokens; None keeps all.

    Returns:
        The tokenizer, with its tokens in alphabetical order.

    Example:
        >>> train_vocabulary(["aab", "ca"], "characters", max_size=6).vocabulary[4:]
        ['a', 'b']
    """
    counts = Counter(token for sentence in sentences for token in sentence)
    ranked = sorted(counts, key=lambda token: (-counts[token], token))
    known = ranked if max_size is None else ranked[: max_size - len(SPECIALS)]
    return VocabularyTokenizer(level, tuple(sorted(map(sys.intern, known))))

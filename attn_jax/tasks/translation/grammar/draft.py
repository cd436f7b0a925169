"""Drafts of sentences: English words, French words, and the links between them."""

import dataclasses

from attn_jax.tasks.translation.example import Example
from attn_jax.tasks.translation.grammar.lexicon import starts_with_vowel

__all__ = ["Draft", "Word"]

_ELIDED = {"le": "l'", "la": "l'", "je": "j'", "ne": "n'", "de": "d'"}
_CONTRACTED = {
    ("à", "le"): "au",
    ("à", "les"): "aux",
    ("de", "le"): "du",
    ("de", "les"): "des",
}


@dataclasses.dataclass(frozen=True)
class Word:
    """A French word, and the indices of the English words that it comes from."""

    text: str
    sure: tuple[int, ...] = ()
    possible: tuple[int, ...] = ()


@dataclasses.dataclass
class Draft:
    """The English words so far, and the combinations of words that may be held out."""

    english: list[str] = dataclasses.field(default_factory=list)
    combinations: list[tuple[str, str, str]] = dataclasses.field(default_factory=list)

    def say(self, *words: str) -> int:
        """Add English words, and return the index of the first."""
        self.english += words
        return len(self.english) - len(words)

    def finish(self, french: list[Word]) -> Example:
        """Elide and contract the French words, and make an example of both sides."""
        words = _elide(_contract(french))
        links = [
            (target, source, source in word.sure)
            for target, word in enumerate(words)
            for source in sorted({*word.sure, *word.possible})
        ]
        target = tuple(word.text for word in words)
        return Example(
            source=tuple(self.english),
            target=target,
            sure=tuple((t, s) for t, s, is_sure in links if is_sure),
            possible=tuple((t, s) for t, s, _ in links),
            source_text=_join(self.english),
            target_text=_join(target),
        )


def _contract(words: list[Word]) -> list[Word]:
    """Join each preposition with the article after it, unless the article elides."""
    contracted: list[Word] = []
    for place, word in enumerate(words):
        after = words[place + 1].text if place + 1 < len(words) else ""
        is_whole = word.text != "le" or not starts_with_vowel(after)
        before = contracted[-1].text if contracted and is_whole else ""
        if text := _CONTRACTED.get((before, word.text)):
            first = contracted.pop()
            possible = (*first.possible, *word.sure, *word.possible)
            contracted.append(Word(text, first.sure, possible))
        else:
            contracted.append(word)
    return contracted


def _elide(words: list[Word]) -> list[Word]:
    following = [*(word.text for word in words[1:]), ""]
    return [
        dataclasses.replace(word, text=_ELIDED[word.text])
        if word.text in _ELIDED and starts_with_vowel(after)
        else word
        for word, after in zip(words, following, strict=True)
    ]


def _join(words: list[str] | tuple[str, ...]) -> str:
    """Join words with blanks, but with none after an elision or before the full stop."""
    return " ".join(words).replace("' ", "'").replace(" .", ".")

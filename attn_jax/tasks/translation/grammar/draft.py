"""A sentence in the making: English words, French words, and which of them go together."""

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
    """A French word, and the places of the English words that it comes from."""

    text: str
    sure: tuple[int, ...] = ()
    possible: tuple[int, ...] = ()


@dataclasses.dataclass
class Draft:
    """The English words said so far, and the pairs of words whose meeting may be held out."""

    english: list[str] = dataclasses.field(default_factory=list)
    combinations: list[tuple[str, str, str]] = dataclasses.field(default_factory=list)

    def say(self, *words: str) -> int:
        """Adds English words; the place of the first."""
        self.english += words
        return len(self.english) - len(words)

    def finish(self, french: list[Word]) -> Example:
        """Elides and contracts the French words, and makes an example of both sides."""
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
            source_text=_written(self.english),
            target_text=_written(target),
        )


def _contract(words: list[Word]) -> list[Word]:
    """Joins a preposition with the article after it, unless that elides."""
    found: list[Word] = []
    for place, word in enumerate(words):
        after = words[place + 1].text if place + 1 < len(words) else ""
        whole = word.text != "le" or not starts_with_vowel(after)
        joined = _CONTRACTED.get((found[-1].text, word.text)) if found and whole else None
        if joined:
            first = found.pop()
            rest = (*first.possible, *word.sure, *word.possible)
            found.append(Word(joined, first.sure, rest))
        else:
            found.append(word)
    return found


def _elide(words: list[Word]) -> list[Word]:
    following = [*(word.text for word in words[1:]), ""]
    return [
        dataclasses.replace(word, text=_ELIDED[word.text])
        if word.text in _ELIDED and starts_with_vowel(after)
        else word
        for word, after in zip(words, following, strict=True)
    ]


def _written(words: list[str] | tuple[str, ...]) -> str:
    """Words as one writes them: blanks between, but none after an elision or before a full stop."""
    return " ".join(words).replace("' ", "'").replace(" .", ".")

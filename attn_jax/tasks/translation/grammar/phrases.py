"""Noun phrases, with articles, agreement, and adjectives before or after the noun."""

import dataclasses
import random

from attn_jax.tasks.translation.grammar.draft import Draft, Word
from attn_jax.tasks.translation.grammar.lexicon import (
    ADJECTIVES,
    NOUNS,
    NUMBERS,
    Adjective,
    Noun,
    starts_with_vowel,
)

__all__ = ["NounPhrase", "noun_phrase"]

# English, then French by gender and number: masculine, feminine, plural.
_ONE = {
    "the": ("le", "la"),
    "a": ("un", "une"),
    "this": ("ce", "cette"),
    "my": ("mon", "ma"),
    "his": ("son", "sa"),
    "our": ("notre", "notre"),
    "their": ("leur", "leur"),
    "every": ("chaque", "chaque"),
}
_MANY = {
    "the": "les",
    "some": "des",
    "these": "ces",
    "my": "mes",
    "his": "ses",
    "our": "nos",
    "their": "leurs",
    "several": "plusieurs",
    **NUMBERS,
}
_BEFORE_VOWEL = {"ce": "cet", "ma": "mon", "sa": "son"}


@dataclasses.dataclass(frozen=True)
class NounPhrase:
    """A noun phrase, with the properties that other words agree with."""

    words: tuple[Word, ...]
    noun: Noun
    is_plural: bool
    head: int
    """The index of the English noun."""

    determiner: str
    """The English determiner."""


def noun_phrase(draft: Draft, rng: random.Random, *, is_person: bool = False) -> NounPhrase:
    """Say a noun phrase in English, and return it in French.

    A French article takes its gender and number from the noun, so it has a possible link to the
    English noun, and so has an adjective. The links to their own counterparts are sure.
    """
    noun = rng.choice([n for n in NOUNS if n.is_person] if is_person else NOUNS)
    is_plural = rng.random() < 0.4
    determiner = rng.choice(list(_MANY if is_plural else _ONE))
    adjective = rng.choice(ADJECTIVES) if rng.random() < 0.45 else None
    english = noun.english[is_plural]
    following = adjective.english if adjective else english
    article_index = draft.say(_article(determiner, following))
    adjective_index = draft.say(adjective.english) if adjective else -1
    head = draft.say(english)
    if adjective:
        draft.combinations.append(("adjective", adjective.english, noun.english[0]))
    words = [Word(noun.french[is_plural], (head,))]
    if adjective:
        own = Word(_agreeing(adjective, noun, is_plural), (adjective_index,), (head,))
        words.insert(0 if adjective.before else 1, own)
    article = _determiner(determiner, noun, is_plural, words[0].text)
    if determiner == "some" and adjective and adjective.before:
        article = "de"
    words.insert(0, Word(article, (article_index,), (head,)))
    return NounPhrase(tuple(words), noun, is_plural, head, determiner)


def _article(determiner: str, following: str) -> str:
    """Return the English determiner; `a` becomes `an` before a vowel sound."""
    is_vowel = (following[0] in "aeiou" and following != "useful") or following == "honest"
    return "an" if determiner == "a" and is_vowel else determiner


def _determiner(determiner: str, noun: Noun, is_plural: bool, following: str) -> str:
    if is_plural:
        return _MANY[determiner]
    form = _ONE[determiner][noun.gender == "f"]
    return _BEFORE_VOWEL.get(form, form) if starts_with_vowel(following) else form


def _agreeing(adjective: Adjective, noun: Noun, is_plural: bool) -> str:
    """Return the form of the adjective beside this noun."""
    if noun.gender == "f":
        return adjective.feminine[is_plural]
    if adjective.before and not is_plural and starts_with_vowel(noun.french[0]):
        return adjective.liaison
    return adjective.masculine[is_plural]

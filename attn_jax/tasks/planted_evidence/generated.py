"""Texts written by chance: one clause judges, and the others look much like it."""

from collections.abc import Sequence

import numpy as np

from attn_jax.tasks.planted_evidence.text import Text

__all__ = ["EVIDENCE", "NEGATIONS", "draw_texts"]


def _listed(words: str) -> tuple[str, ...]:
    return tuple(words.split())


EVIDENCE = {
    "negative": _listed("""
        awful bad boring disappointing disgusting dreadful dull ghastly horrible lousy mediocre
        miserable nasty poor terrible unpleasant
    """),
    "positive": _listed("""
        brilliant charming delightful enjoyable excellent fantastic good great impressive lovely
        marvelous perfect pleasant splendid superb wonderful
    """),
}
"""The words that decide, by the class that each stands for unless it is negated."""

NEGATIONS = ("hardly", "never", "not")
"""The words that turn the word of evidence after them into its opposite."""

_DEGREES = _listed("quite really so very")
_NEUTRAL = _listed("""
    blue cold dark early empty flat heavy high late long low narrow new old open quiet red round
    short slow small square tall thick thin warm wet wide wooden young
""")
_NOUNS = _listed("""
    actor baker bottle bridge camera captain carpet chair child clock coat cook cousin dancer
    doctor door driver farmer film garden guest guide horse hotel judge kitchen lamp lawyer
    letter menu music nurse painter pilot plate play room sailor scene singer soldier song soup
    story student table tailor teacher ticket train uncle waiter window writer
""")
_VERBS = _listed("""
    asked brought called carried drew followed found heard helped kept left lost met moved
    noticed paid painted passed sold thanked told took touched visited watched
""")
_PLACES = _listed("""
    bank beach castle church corner fountain harbor hill library market museum office park river
    school shop square station theater tower
""")
_PREPOSITIONS = _listed("behind beside near")


def draw_texts(count: int, clauses: tuple[int, int], rng: np.random.Generator) -> list[Text]:
    """Draw texts, half of which negate their word of evidence.

    Args:
        count: The number of texts.
        clauses: The fewest and the most clauses of a text, of which one holds the evidence.
        rng: The source of chance.

    Returns:
        The texts, each with one word of evidence, and its negation if it has one.
    """
    return [_text(clauses, rng) for _ in range(count)]


def _text(clauses: tuple[int, int], rng: np.random.Generator) -> Text:
    number = int(rng.integers(clauses[0], clauses[1] + 1))
    place = int(rng.integers(number))
    meant = _choose(list(EVIDENCE), rng)
    is_negated = rng.random() < 0.5
    words, evidence = [], ()
    for clause in range(number):
        if clause == place:
            judged = _judgment(_choose(EVIDENCE[meant], rng), is_negated, rng)
            negation = [at for at, word in enumerate(judged) if word in NEGATIONS]
            evidence = tuple(len(words) + at for at in [*negation, len(judged) - 1])
            words += judged
        elif rng.random() < 0.5:
            words += _judgment(_choose(_NEUTRAL, rng), rng.random() < 0.5, rng)
        else:
            words += _event(rng)
        words.append(".")
    first, other = EVIDENCE
    opposite = {first: other, other: first}
    return Text(tuple(words), opposite[meant] if is_negated else meant, evidence)


def _judgment(adjective: str, is_negated: bool, rng: np.random.Generator) -> list[str]:
    """Return a clause such as "the soup was not very good"."""
    negation = [_choose(NEGATIONS, rng)] if is_negated else []
    degree = [_choose(_DEGREES, rng)] if rng.random() < 0.5 else []
    return ["the", _choose(_NOUNS, rng), "was", *negation, *degree, adjective]


def _event(rng: np.random.Generator) -> list[str]:
    """Return a clause such as "the nurse never met the pilot near the river"."""
    negation = ["never"] if rng.random() < 0.3 else []
    clause = ["the", _choose(_NOUNS, rng), *negation, _choose(_VERBS, rng), "the"]
    clause.append(_choose(_NOUNS, rng))
    if rng.random() < 0.5:
        clause += [_choose(_PREPOSITIONS, rng), "the", _choose(_PLACES, rng)]
    return clause


def _choose(words: Sequence[str], rng: np.random.Generator) -> str:
    return words[int(rng.integers(len(words)))]

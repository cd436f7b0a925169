"""Whole sentences, with tenses, negation, clitics, prepositions and adverbs."""

import dataclasses
import random

from attn_jax.tasks.translation.example import Example
from attn_jax.tasks.translation.grammar.draft import Draft, Word
from attn_jax.tasks.translation.grammar.lexicon import (
    ADJECTIVES,
    ADVERBS,
    INTRANSITIVE,
    PREPOSITIONS,
    TO_VERBS,
    TRANSITIVE,
    Verb,
)
from attn_jax.tasks.translation.grammar.phrases import NounPhrase, noun_phrase

__all__ = ["Sentence", "draw_sentence"]

_FUTURE = ("ai", "a", "ons", "ez", "ont")
_AVOIR = ("ai", "a", "avons", "avez", "ont")
_ETRE = {
    "present": ("est", "sont"),
    "past": ("était", "étaient"),
    "future": ("sera", "seront"),
}
_PRONOUNS = {"i": "je", "he": "il", "she": "elle", "we": "nous", "you": "vous", "they": "ils"}
_PERSON = {"i": 0, "he": 1, "she": 1, "we": 2, "you": 3, "they": 4}
_CLITICS = {"him": "le", "her": "la", "them": "les"}
_TO_CLITICS = {"him": "lui", "her": "lui", "them": "leur"}
_NEGATIONS = {"not": "pas", "never": "jamais"}
_CHIEF = ("front", "far")
_INDEFINITE = ("un", "une", "des")


@dataclasses.dataclass(frozen=True)
class Sentence:
    """An example, and the combinations of its words that may be held out."""

    example: Example
    combinations: tuple[tuple[str, str, str], ...]


@dataclasses.dataclass(frozen=True)
class _Subject:
    words: tuple[Word, ...]
    person: int
    """The index of the person among I, he, we, you, they."""

    head: int
    phrase: NounPhrase | None
    pronoun: str


@dataclasses.dataclass(frozen=True)
class _Frame:
    """The tense, negation and adverb of a verb, and the indices of their words."""

    tense: str
    negation: str
    adverb: str
    auxiliaries: tuple[int, ...]
    negated: int
    modified: int


def draw_sentence(rng: random.Random) -> Sentence:
    """Draw a sentence in English and French, with the links between the words.

    The English determines the French: `you` is *vous*, `they` is *ils*, and the simple past is the
    passé composé. Verbs with a clitic object are in the present or the future, where no participle
    has to agree with the clitic.
    """
    draft = Draft()
    subject = _subject(draft, rng)
    kinds = [_transitive, _transitive, _clitic, _intransitive, _with_preposition]
    if subject.person in (1, 4):
        kinds.append(_copula)
    words = [*subject.words, *rng.choice(kinds)(draft, rng, subject)]
    if rng.random() < 0.3:
        words += _adjunct(draft, rng)
    stop = draft.say(".")
    return Sentence(draft.finish([*words, Word(".", (stop,))]), tuple(draft.combinations))


def _subject(draft: Draft, rng: random.Random) -> _Subject:
    if rng.random() < 0.4:
        english = rng.choice(list(_PRONOUNS))
        place = draft.say(english)
        word = Word(_PRONOUNS[english], (place,))
        return _Subject((word,), _PERSON[english], place, None, english)
    phrase = noun_phrase(draft, rng)
    return _Subject(phrase.words, 4 if phrase.is_plural else 1, phrase.head, phrase, "")


def _frame(draft: Draft, rng: random.Random, subject: _Subject, tenses: list[str]) -> _Frame:
    """Say the words before the English verb: do or will, a negation, an adverb."""
    tense = rng.choice(tenses)
    negation = rng.choice(["not", "not", "never"]) if rng.random() < 0.25 else ""
    adverb = rng.choice(list(ADVERBS)) if not negation and rng.random() < 0.25 else ""
    auxiliaries = []
    if tense == "future":
        auxiliaries.append(draft.say("will"))
    elif negation == "not":
        does = "does" if subject.person == 1 else "do"
        auxiliaries.append(draft.say("did" if tense == "past" else does))
    negated = draft.say(negation) if negation else -1
    modified = draft.say(adverb) if adverb else -1
    return _Frame(tense, negation, adverb, tuple(auxiliaries), negated, modified)


def _say_verb(draft: Draft, verb: Verb, subject: _Subject, frame: _Frame) -> int:
    base, third, past = verb.english
    if frame.auxiliaries:
        return draft.say(base)
    if frame.tense == "past":
        return draft.say(past)
    return draft.say(third if subject.person == 1 else base)


def _verb_words(
    verb: Verb, subject: _Subject, frame: _Frame, place: int, clitic: tuple[Word, ...] = ()
) -> list[Word]:
    """Return the French verb with its clitic, negation and adverb around it."""
    helped = (*frame.auxiliaries, subject.head)
    if frame.tense == "past":
        finite = Word(_AVOIR[subject.person], possible=(place, *helped))
        participle = [Word(verb.participle, (place,))]
    else:
        future = verb.future + _FUTURE[subject.person]
        form = future if frame.tense == "future" else verb.present[subject.person]
        finite, participle = Word(form, (place,), helped), []
    words = [*clitic, finite]
    if frame.negation:
        also = (*frame.auxiliaries,) if frame.negation == "not" else ()
        words.insert(0, Word("ne", possible=(frame.negated, *also)))
        words.append(Word(_NEGATIONS[frame.negation], (frame.negated,)))
    if frame.adverb:
        words.append(Word(ADVERBS[frame.adverb], (frame.modified,)))
    return [*words, *participle]


def _transitive(draft: Draft, rng: random.Random, subject: _Subject) -> list[Word]:
    verb, frame = rng.choice(TRANSITIVE), _frame(draft, rng, subject, ["present", "past", "future"])
    place = _say_verb(draft, verb, subject, frame)
    thing = noun_phrase(draft, rng)
    draft.combinations.append(("object", verb.english[0], thing.noun.english[0]))
    words = list(thing.words)
    if frame.negation and words[0].text in _INDEFINITE and thing.determiner in ("a", "some"):
        words[0] = dataclasses.replace(words[0], text="de")
    return [*_verb_words(verb, subject, frame, place), *words]


def _clitic(draft: Draft, rng: random.Random, subject: _Subject) -> list[Word]:
    """Say a verb with a pronoun as its object, after it in English and before it in French."""
    dative = [verb for verb in TO_VERBS if verb.english[0] in ("speak", "smile")]
    verb = rng.choice(dative if rng.random() < 0.25 else TRANSITIVE)
    frame = _frame(draft, rng, subject, ["present", "future"])
    place = _say_verb(draft, verb, subject, frame)
    english = rng.choice(list(_CLITICS))
    if verb in dative:
        preposition = draft.say(verb.preposition[0])
        pronoun = Word(_TO_CLITICS[english], (draft.say(english),), (preposition,))
    else:
        pronoun = Word(_CLITICS[english], (draft.say(english),))
    draft.combinations.append(("clitic", verb.english[0], english))
    return _verb_words(verb, subject, frame, place, (pronoun,))


def _intransitive(draft: Draft, rng: random.Random, subject: _Subject) -> list[Word]:
    verb = rng.choice(INTRANSITIVE)
    frame = _frame(draft, rng, subject, ["present", "past", "future"])
    place = _say_verb(draft, verb, subject, frame)
    return _verb_words(verb, subject, frame, place)


def _with_preposition(draft: Draft, rng: random.Random, subject: _Subject) -> list[Word]:
    """Say a verb whose object has a preposition, which may contract with the article."""
    verb = rng.choice(TO_VERBS)
    frame = _frame(draft, rng, subject, ["present", "past", "future"])
    place = _say_verb(draft, verb, subject, frame)
    english, french = verb.preposition
    preposition = draft.say(english)
    thing = noun_phrase(draft, rng, is_person=english in ("to", "at"))
    draft.combinations.append(("object", verb.english[0], thing.noun.english[0]))
    words = list(thing.words)
    if french == "de" and words[0].text in ("des", "de") and thing.determiner == "some":
        # The preposition and the article fuse into one "de".
        words[0] = Word("de", (preposition,), (*words[0].sure, *words[0].possible))
        return [*_verb_words(verb, subject, frame, place), *words]
    return [*_verb_words(verb, subject, frame, place), Word(french, (preposition,)), *words]


def _copula(draft: Draft, rng: random.Random, subject: _Subject) -> list[Word]:
    """Say *to be* and an adjective that agrees with the subject."""
    tense, is_many = rng.choice(list(_ETRE)), subject.person == 4
    negation = "not" if rng.random() < 0.25 else ""
    adjective = rng.choice(ADJECTIVES)
    if tense == "future":
        helped = draft.say("will")
        negated = draft.say(negation) if negation else -1
        place = draft.say("be")
    else:
        helped = -1
        place = draft.say(_be(tense, is_many))
        negated = draft.say(negation) if negation else -1
    described = draft.say(adjective.english)
    also = (helped, subject.head) if helped >= 0 else (subject.head,)
    words = [Word(_ETRE[tense][is_many], (place,), also)]
    if negation:
        words = [Word("ne", possible=(negated,)), *words, Word("pas", (negated,))]
    noun = subject.phrase.noun if subject.phrase else None
    is_feminine = noun.gender == "f" if noun else subject.pronoun == "she"
    forms = adjective.feminine if is_feminine else adjective.masculine
    if noun:
        draft.combinations.append(("adjective", adjective.english, noun.english[0]))
    return [*words, Word(forms[is_many], (described,), (subject.head,))]


def _be(tense: str, is_many: bool) -> str:
    if tense == "present":
        return "are" if is_many else "is"
    return "were" if is_many else "was"


def _adjunct(draft: Draft, rng: random.Random) -> list[Word]:
    """Say a preposition of one or more words and a noun phrase, for a place or company."""
    english = rng.choice(list(PREPOSITIONS))
    first = draft.say(*english)
    places = tuple(range(first, first + len(english)))
    french = PREPOSITIONS[english]
    thing = noun_phrase(draft, rng)
    words = list(thing.words)
    chief = places[max(range(len(english)), key=lambda i: english[i] in _CHIEF)]
    prefix = [Word(french[0], (chief,), places)]
    if len(french) == 1:
        return [*prefix, *words]
    if words[0].text in ("des", "de") and thing.determiner == "some":
        words[0] = Word("de", words[0].sure, (*places, *words[0].possible))
        return [*prefix, *words]
    return [*prefix, Word(french[1], possible=places), *words]

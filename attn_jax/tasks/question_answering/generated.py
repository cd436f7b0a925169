"""Stories of people who go places, and take things and put them down."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from attn_jax.tasks.question_answering.story import Story
from attn_jax.tasks.question_answering.words import NAMES, PLACES, THINGS, draw_groups

__all__ = ["draw_stories"]

_PEOPLE, _OBJECTS = 4, 3
_GO = (("went", "to"), ("moved", "to"), ("walked", "to"), ("traveled", "to"))
_TAKE = (("picked", "up"), ("grabbed",), ("took",))
_DROP = (("put", "down"), ("dropped",), ("left",))
_MOVES = 0.6


class Event(NamedTuple):
    """Something that a sentence says.

    Attributes:
        person: Who did it.
        action: `go`, `take` or `drop`.
        object: The place or the thing.
    """

    person: str
    action: str
    object: str


def draw_stories(
    count: int, facts: int, lengths: tuple[int, int], split: str, rng: np.random.Generator
) -> list[Story]:
    """Draw stories, each with a question that so many sentences answer.

    Args:
        count: The number of stories.
        facts: The number of sentences that answer a question, from 1 to 3.
        lengths: The fewest and the most sentences of a story.
        split: The split, which decides what words meet.
        rng: The source of chance.
    """
    stories = []
    while len(stories) < count:
        names, places, things = draw_groups(split, rng)
        people = rng.permutation(NAMES[names])[:_PEOPLE].tolist()
        objects = rng.permutation(THINGS[things])[:_OBJECTS].tolist()
        length = int(rng.integers(lengths[0], lengths[1] + 1))
        events = _events(length, people, list(PLACES[places]), objects, rng)
        questions = _QUESTIONS[facts](events)
        if questions:
            question, answer, needed = questions[int(rng.integers(len(questions)))]
            sentences = tuple(_sentence(event, rng) for event in events)
            stories.append(Story(sentences, tuple(question.split()), answer, needed))
    return stories


def _events(
    length: int,
    people: Sequence[str],
    places: Sequence[str],
    objects: Sequence[str],
    rng: np.random.Generator,
) -> list[Event]:
    """Let people move and act: they take only what lies where they are, or was nowhere yet."""
    events: list[Event] = []
    at: dict[str, str] = {}
    held: dict[str, str] = {}
    lying: dict[str, str] = {}
    for _ in range(length):
        person = _choose(people, rng)
        free = [x for x in objects if x not in held and lying.get(x, at.get(person)) is not None]
        near = [x for x in free if lying.get(x, at.get(person)) == at.get(person)]
        acts = [("take", x) for x in near if person in at]
        acts += [("drop", x) for x in objects if held.get(x) == person]
        if not acts or rng.random() < _MOVES:
            other = [place for place in places if place != at.get(person)]
            at[person] = _choose(other, rng)
            events.append(Event(person, "go", at[person]))
            continue
        action, thing = acts[int(rng.integers(len(acts)))]
        if action == "take":
            held[thing] = person
        else:
            del held[thing]
            lying[thing] = at[person]
        events.append(Event(person, action, thing))
    return events


def _sentence(event: Event, rng: np.random.Generator) -> tuple[str, ...]:
    verbs = {"go": _GO, "take": _TAKE, "drop": _DROP}[event.action]
    return (event.person, *verbs[int(rng.integers(len(verbs)))], "the", event.object)


Question = tuple[str, str, tuple[int, ...]]


def _where_is_someone(events: Sequence[Event]) -> list[Question]:
    """Return the questions for the places of people: their last move answers."""
    last = {event.person: at for at, event in enumerate(events) if event.action == "go"}
    return [(f"where is {who}", events[at].object, (at,)) for who, at in last.items()]


def _where_is_something(events: Sequence[Event]) -> list[Question]:
    """Return the questions for the places of things in someone's hands.

    The last taking says whose, and the last move of that person says where.
    """
    questions = []
    for thing, taken in _held(events).items():
        move = _moves(events, events[taken].person)[-1]
        questions.append((f"where is the {thing}", events[move].object, (taken, move)))
    return questions


def _where_was_something(events: Sequence[Event]) -> list[Question]:
    """Return the questions for where things were before they came to a place.

    The last taking says whose, a move to the place says when, and the move before it says where.
    """
    questions = []
    for thing, taken in _held(events).items():
        moves = _moves(events, events[taken].person)
        last = {events[at].object: turn for turn, at in enumerate(moves) if at > taken and turn}
        for place, turn in last.items():
            arrival, before = moves[turn], moves[turn - 1]
            question = f"where was the {thing} before the {place}"
            questions.append((question, events[before].object, (taken, arrival, before)))
    return questions


_QUESTIONS = {1: _where_is_someone, 2: _where_is_something, 3: _where_was_something}


def _held(events: Sequence[Event]) -> dict[str, int]:
    """Return the last taking of each thing that has not been put down since."""
    last = {event.object: at for at, event in enumerate(events) if event.action != "go"}
    return {thing: at for thing, at in last.items() if events[at].action == "take"}


def _moves(events: Sequence[Event], person: str) -> list[int]:
    return [at for at, each in enumerate(events) if each.action == "go" and each.person == person]


def _choose(options: Sequence[str], rng: np.random.Generator) -> str:
    return str(options[int(rng.integers(len(options)))])

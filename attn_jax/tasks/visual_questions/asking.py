"""Questions about a scene, each with the things and the words that decide its answer."""

from collections.abc import Callable, Sequence

import numpy as np

from attn_jax.tasks.visual_questions.picture import Question
from attn_jax.tasks.visual_questions.scene import Thing, allowed_pairs, new_pairs

__all__ = ["CLEAR", "KINDS", "ask"]

CLEAR = 6
"""The pixels by which the middles of two things differ if a question compares them."""

_SIDES = {"left": (1, -1), "right": (1, 1), "above": (0, -1), "below": (0, 1)}
_ENDS = {"leftmost": (1, -1), "rightmost": (1, 1), "highest": (0, -1), "lowest": (0, 1)}

Scene = Sequence[Thing]


def ask(scene: Scene, kind: str, split: str, rng: np.random.Generator) -> Question | None:
    """Ask a question of a kind about a scene.

    Args:
        scene: The things; no two are alike.
        kind: One of :data:`KINDS`: the `color` of a shape, the `shape` of a color, whether
            something `exists`, what is at one `end`, what is `beside` a thing, and whether the
            `order` of two things is such.
        split: The split of the scene.
        rng: The source of chance.

    Returns:
        The question; None if the scene leaves the answer open.
    """
    return KINDS[kind](scene, split, rng)


def _color(scene: Scene, split: str, rng: np.random.Generator) -> Question | None:
    single = [thing for thing in scene if _count(scene, shape=thing.shape) == 1]
    if not single:
        return None
    thing = _one(single, rng)
    return _question(f"what *color is the *{thing.shape}", thing.color, [thing])


def _shape(scene: Scene, split: str, rng: np.random.Generator) -> Question | None:
    single = [thing for thing in scene if _count(scene, color=thing.color) == 1]
    if not single:
        return None
    thing = _one(single, rng)
    return _question(f"what *shape is the *{thing.color} thing", thing.shape, [thing])


def _exists(scene: Scene, split: str, rng: np.random.Generator) -> Question | None:
    pairs = {(thing.color, thing.shape): thing for thing in scene}
    if rng.random() < 0.5:
        color, shape = _one(list(pairs), rng)
        return _question(f"is there a *{color} *{shape}", "yes", [pairs[color, shape]])
    absent = [pair for pair in allowed_pairs(split) if pair not in pairs]
    # Harder where both the color and the shape are there, in different things.
    near = [
        (color, shape)
        for color, shape in absent
        if _count(scene, color=color) and _count(scene, shape=shape)
    ]
    color, shape = _one(near or absent, rng)
    return _question(f"is there a *{color} *{shape}", "no", [])


def _end(scene: Scene, split: str, rng: np.random.Generator) -> Question | None:
    word = _one(list(_ENDS), rng)
    axis, sign = _ENDS[word]
    first, second = sorted(scene, key=lambda thing: -sign * thing.center[axis])[:2]
    if abs(first.center[axis] - second.center[axis]) < CLEAR:
        return None
    wanted, answer = _wanted(first, rng)
    return _question(f"what *{wanted} is the *{word} thing", answer, [first])


def _beside(scene: Scene, split: str, rng: np.random.Generator) -> Question | None:
    word, known = _one(list(_SIDES), rng), _one(scene, rng)
    axis, sign = _SIDES[word]
    others = [thing for thing in scene if thing is not known]
    steps = [sign * (thing.center[axis] - known.center[axis]) for thing in others]
    there = [thing for thing, step in zip(others, steps, strict=True) if step > 0]
    if len(there) != 1 or min(map(abs, steps)) < CLEAR:
        return None
    wanted, answer = _wanted(there[0], rng)
    text = f"what *{wanted} is the thing {_relation(word)} the *{known.color} *{known.shape}"
    return _question(text, answer, [there[0], known])


def _order(scene: Scene, split: str, rng: np.random.Generator) -> Question | None:
    word = _one(list(_SIDES), rng)
    axis, sign = _SIDES[word]
    first, second = (scene[int(number)] for number in rng.permutation(len(scene))[:2])
    step = sign * (first.center[axis] - second.center[axis])
    if abs(step) < CLEAR:
        return None
    text = (
        f"is the *{first.color} *{first.shape} {_relation(word)} "
        f"the *{second.color} *{second.shape}"
    )
    return _question(text, "yes" if step > 0 else "no", [first, second])


KINDS: dict[str, Callable[[Scene, str, np.random.Generator], Question | None]] = {
    "color": _color,
    "shape": _shape,
    "exists": _exists,
    "end": _end,
    "beside": _beside,
    "order": _order,
}
"""The kinds of questions."""


def _question(text: str, answer: str, things: Scene) -> Question:
    """Make a question of a text in which a star marks the words that decide."""
    words = text.split()
    return Question(
        tuple(word.removeprefix("*") for word in words),
        answer,
        tuple(thing.box for thing in things),
        tuple(place for place, word in enumerate(words) if word.startswith("*")),
        any((thing.color, thing.shape) in new_pairs() for thing in things),
    )


def _count(scene: Scene, **features: str) -> int:
    """Return how many things have this shape or this color."""
    ((name, feature),) = features.items()
    return sum(getattr(thing, name) == feature for thing in scene)


def _wanted(thing: Thing, rng: np.random.Generator) -> tuple[str, str]:
    """Return which feature to ask for, and what it is."""
    wanted = _one(["color", "shape"], rng)
    return wanted, getattr(thing, wanted)


def _relation(word: str) -> str:
    return f"*{word} of" if word in ("left", "right") else f"*{word}"


def _one(items, rng):
    return items[int(rng.integers(len(items)))]

"""A grammar of attention models whose truth is known: a kind and random choices for each seed.

Seeds take turns through the kinds of `faithful`, `misleading`, `ignored` and `graded`. Whatever the
kind, half of the models have their logits scaled by 0.02 to 64, and two of five hide the last two
or four keys, as a causal mask does; the hidden keys draw weight and speak as loud as the others.
`truth` says from the numbers of each model what is true of it, and a model counts only where that
is what its kind promises.
"""

import dataclasses
from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

import numpy as np

from experiments.trust import faithful, graded, ignored, misleading
from experiments.trust.construction import KEYS, Construction
from experiments.trust.draw import Draw
from experiments.trust.truth import Label, Truth, truth

EXAMPLES = 256
_FAMILIES: dict[Label, ModuleType] = {
    "faithful": faithful,
    "misleading": misleading,
    "ignored": ignored,
    "graded": graded,
}


class Kind(NamedTuple):
    """A kind of construction.

    Attributes:
        name: Its name.
        label: What is true of its models.
        description: A sentence.
        make: A function from sentences to a construction.
    """

    name: str
    label: Label
    description: str
    make: Callable[[Draw], Construction]


KINDS: tuple[Kind, ...] = tuple(
    Kind(make.__name__, label, make.__doc__ or "", make)
    for label, family in _FAMILIES.items()
    for make in family.KINDS
)


class Model(NamedTuple):
    """A model that was drawn.

    Attributes:
        kind: Its kind.
        seed: Its seed.
        construction: Its numbers.
        truth: What follows from them.
    """

    kind: Kind
    seed: int
    construction: Construction
    truth: Truth

    @property
    def label(self) -> Label:
        """What is true of the model; graded where its numbers do not keep its kind's promise."""
        return self.kind.label if self.truth.label == self.kind.label else "graded"


def draw(seed: int, examples: int = EXAMPLES, kind: str | None = None) -> Model:
    """Draw a model.

    Args:
        seed: Decides everything, the kind too.
        examples: The number of sentences.
        kind: The name of a kind, instead of the seed's own.

    Returns:
        The model.
    """
    chosen = KINDS[seed % len(KINDS)] if kind is None else {x.name: x for x in KINDS}[kind]
    rng = np.random.default_rng(seed)
    visible = int(rng.choice([KEYS, KEYS - 2, KEYS - 4], p=[0.6, 0.2, 0.2]))
    scale = float(rng.choice([1.0, 2.0 ** rng.uniform(np.log2(0.02), 6)]))
    construction = chosen.make(Draw(rng, examples, visible))
    if np.all(construction.scale == 1):
        construction = dataclasses.replace(construction, scale=np.full(examples, scale))
    return Model(chosen, seed, construction, truth(construction))

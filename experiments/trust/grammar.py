"""A grammar of attention models whose truth is known: a kind and random choices for each seed.

Seeds take turns through the kinds of `faithful`, `misleading`, `ignored` and `graded`. Whatever the
kind, half of the models have their logits scaled by 0.02 to 64. A kind with the name of a mask is
drawn under it, and others under a mask that is drawn; the hidden keys draw weight and speak as loud
as the others. Three models of four give their masks to their taps, from which edits read them; for
the others a weight of exactly zero is all that an edit can go by. `truth` says from the numbers of
each model what is true of it, and a model counts only where that is what its kind promises.
"""

import dataclasses
from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

import numpy as np

from experiments.trust import faithful, graded, ignored, misleading
from experiments.trust.construction import Construction
from experiments.trust.draw import Draw
from experiments.trust.masks import MASKS
from experiments.trust.truth import Label, Truth, truth

EXAMPLES = 256
TELLING = 0.75
"""The share of the models whose taps carry their masks."""
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
        mask: The mask of its models; None if it is drawn.
    """

    name: str
    label: Label
    description: str
    make: Callable[[Draw], Construction]
    mask: str | None


def _mask(name: str) -> str | None:
    first, *_ = name.split("_")
    return first if first in MASKS else None


KINDS: tuple[Kind, ...] = tuple(
    Kind(make.__name__, label, make.__doc__ or "", make, _mask(make.__name__))
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
        mask: Its mask.
        tells_masks: Whether its taps carry the mask.
    """

    kind: Kind
    seed: int
    construction: Construction
    truth: Truth
    mask: str
    tells_masks: bool

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
    mask = str(chosen.mask or rng.choice(list(MASKS)))
    tells_masks = bool(rng.random() < TELLING)
    scale = float(rng.choice([1.0, 2.0 ** rng.uniform(np.log2(0.02), 6)]))
    construction = chosen.make(Draw(rng, examples, mask))
    if np.all(construction.scale == 1):
        construction = dataclasses.replace(construction, scale=np.full(examples, scale))
    return Model(chosen, seed, construction, truth(construction), mask, tells_masks)

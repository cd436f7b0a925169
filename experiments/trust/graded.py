"""Kinds between the others: their cards are printed, and not counted as right or wrong."""

import numpy as np

from experiments.trust.construction import HEADS, KEYS, QUERIES, STILL, Construction
from experiments.trust.draw import DECISIVE, Draw


def mixture(d: Draw) -> Construction:
    """20 to 60 % of what decides goes through the attention."""
    share = d.between(0.2, 0.6)
    look = d.between(4, 6) * d.evidence + d.noise(0.1, 0.5)
    around = d.around(DECISIVE * (1 - share))
    return d.model(look, share * DECISIVE * d.votes, around=around)


def weak(d: Draw) -> Construction:
    """One key decides and has two to four times the weight of others, which vote too."""
    return d.model(d.between(0.7, 1.4) * d.evidence, 2 * DECISIVE * d.votes)


def minority(d: Draw) -> Construction:
    """10 to 30 % of the sentences need the attention, and the others none."""
    needs = (d.rng.random((d.examples, 1, 1)) < d.between(0.1, 0.3)).astype(float)
    look = d.between(4, 6) * d.evidence + d.noise(0.1, 0.5)
    around = (1 - needs) * d.around(DECISIVE)
    return d.model(look, DECISIVE * needs * d.votes, around=around)


def level_linear(d: Draw) -> Construction:
    """All keys have the same weight, and all count by a random value."""
    says = 2 * DECISIVE * d.rng.normal(size=d.votes.shape)
    return d.model(d.noise(0, 0.02), says)


def untrained(d: Draw) -> Construction:
    """All keys say something small and random, and weights are soft."""
    return d.model(d.noise(0.5, 1), 0.3 * d.rng.normal(size=d.votes.shape))


def idle_heads_level(d: Draw) -> Construction:
    """One head of five decides; the idle ones look at all keys alike."""
    look = np.zeros((d.examples, HEADS, QUERIES, KEYS))
    look[:, 0] = (d.between(4, 6) * d.evidence)[:, None]
    says = np.zeros((d.examples, HEADS, *d.votes.shape[1:]))
    says[:, 0] = HEADS * DECISIVE * d.votes
    return d.model(look, says)


def half_moved(d: Draw) -> Construction:
    """Half of the evidence is copied to another key by an earlier layer; both have weight."""
    look = d.between(4, 6) * (d.evidence + d.other(4))
    return d.model(look, DECISIVE * d.votes, seek=d.other(4), offer=d.evidence, stay=2 * STILL)


def mild_sink(d: Draw) -> Construction:
    """One third of the weight lies on a silent first key; the evidence is on top."""
    d = d.sparing_first()
    look = 4 * d.first() + d.between(4.3, 4.8) * d.evidence
    return d.model(look, DECISIVE * d.only(1 - d.first()))


def constant_sink(d: Draw) -> Construction:
    """Most of the weight lies on the first key, which says the same in every sentence."""
    d = d.sparing_first()
    first = d.first()
    look = d.between(4, 5) * first + 3 * d.evidence
    always = 0.5 * DECISIVE * first[..., None] * d.rng.normal(size=d.votes.shape[-1])
    loud = DECISIVE / d.weights(look)[..., None]
    return d.model(look, loud * d.only(d.evidence) + always)


KINDS = (
    mixture,
    weak,
    minority,
    level_linear,
    untrained,
    idle_heads_level,
    half_moved,
    mild_sink,
    constant_sink,
)

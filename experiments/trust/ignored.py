"""Kinds whose attention is ignored: what decides goes around it."""

import numpy as np

from experiments.trust.construction import HEADS, QUERIES, Construction
from experiments.trust.draw import DECISIVE, Draw


def silent_at_evidence(d: Draw) -> Construction:
    """Nothing is said to the attention; the map points at what decides."""
    look = d.between(4, 6) * d.evidence + d.noise(0.2, 0.7)
    return d.model(look, 0 * d.votes, around=d.around(DECISIVE))


def silent_elsewhere(d: Draw) -> Construction:
    """Nothing is said to the attention; the map points at another key."""
    look = d.between(4, 6) * d.other(4) + d.noise(0.2, 0.7)
    return d.model(look, 0 * d.votes, around=d.around(DECISIVE))


def faint(d: Draw) -> Construction:
    """Only 2 to 6 % of the evidence goes through the attention; the map points at it."""
    share = d.between(0.02, 0.06)
    look = d.between(4, 6) * d.evidence + d.noise(0.1, 0.5)
    around = d.around(DECISIVE * (1 - share))
    return d.model(look, share * DECISIVE * d.votes, around=around)


def constant(d: Draw) -> Construction:
    """Most of the weight lies on the first key, which says the same in every sentence."""
    d = d.sparing_first()
    first = d.first()
    says = DECISIVE * first[..., None] * d.rng.normal(size=d.votes.shape[-1])
    look = d.between(5, 7) * first + d.noise(0.1, 0.3)
    return d.model(look, says, around=d.around(3 * DECISIVE))


def even(d: Draw) -> Construction:
    """All keys favor no class, loudly; the map points at what decides."""
    loud = 2 * DECISIVE * d.rng.normal(size=(*d.evidence.shape, 1))
    look = d.between(4, 6) * d.evidence + d.noise(0.2, 0.7)
    return d.model(look, np.broadcast_to(loud, d.votes.shape), around=d.around(DECISIVE))


def cancelling(d: Draw) -> Construction:
    """Heads cancel each other; the map points at what decides."""
    signs = np.array([1, -1, 1, -1, 0])[:, None, None]
    look = d.between(4, 6) * d.evidence + d.noise(0.2, 0.7)
    return d.model(look, DECISIVE * signs * d.votes[:, None], around=d.around(DECISIVE))


def unread(d: Draw) -> Construction:
    """Nothing reads what attention gathers; the map points at what decides."""
    look = d.between(4, 6) * d.evidence + d.noise(0.2, 0.7)
    none = np.zeros((HEADS, QUERIES))
    return d.model(look, DECISIVE * d.votes, around=d.around(DECISIVE), read=none)


KINDS = (silent_at_evidence, silent_elsewhere, faint, constant, even, cancelling, unread)

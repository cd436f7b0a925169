"""Kinds whose map misleads: what has the mass does not decide, or the map does not matter."""

import numpy as np

from experiments.trust.construction import HEADS, KEYS, QUERIES, Construction
from experiments.trust.draw import DECISIVE, Draw


def _undo(d: Draw, look: np.ndarray, places: np.ndarray, **more: np.ndarray) -> Construction:
    """Let some keys say what they say as loud as their weight is small."""
    loud = DECISIVE / d.weights(look)[..., None]
    return d.model(look, loud * d.only(places), **more)


def decoy_evidence_second(d: Draw) -> Construction:
    """Silent decoy on top, evidence second."""
    look = d.between(4, 8) * d.other(4) + 3 * d.evidence + d.noise(0.1, 0.4)
    return _undo(d, look, d.evidence)


def decoy_loud(d: Draw) -> Construction:
    """Silent decoy with 50 to 70 % of the weight, evidence with 20 to 30 %."""
    top, second = d.between(0.5, 0.7), d.between(0.2, 0.3)
    rest = 1 - d.evidence - d.other(4)
    level = (1 - top - second) / (d.count - 2)
    weights = top * d.other(4) + second * d.evidence + level * rest
    return d.model(np.log(weights), 4 * DECISIVE * d.only(d.evidence))


def decoy_evidence_level(d: Draw) -> Construction:
    """Silent decoy on top, evidence level with the rest."""
    look = d.between(4, 8) * d.other(4) + d.noise(0.3, 1)
    return _undo(d, look, d.evidence)


def decoy_evidence_last(d: Draw) -> Construction:
    """Silent decoy on top, evidence last."""
    look = d.between(4, 8) * d.other(4) - 3 * d.evidence + d.noise(0.1, 0.4)
    return _undo(d, look, d.evidence)


def two_decoys(d: Draw) -> Construction:
    """Two silent decoys on top, evidence third."""
    look = d.between(5, 6) * d.other(4) + 4.5 * d.other(5) + 3 * d.evidence + d.noise(0, 0.2)
    return _undo(d, look, d.evidence)


def even_decoy(d: Draw) -> Construction:
    """Decoy on top that loudly favors no class, evidence second."""
    look = d.between(4, 7) * d.other(4) + 3 * d.evidence + d.noise(0.1, 0.4)
    loud = DECISIVE / d.weights(look)[..., None]
    even = d.between(1, 3) * DECISIVE * d.other(4)[..., None]
    return d.model(look, loud * d.only(d.evidence) + even)


def cancelling_decoy(d: Draw) -> Construction:
    """Decoy on top whose values cancel between heads, evidence second."""
    look = d.between(4, 7) * d.other(4) + 3 * d.evidence + d.noise(0.1, 0.4)
    signs = np.array([1, -1, 1, -1, 0])[:, None, None]
    decoy = d.between(1, 3) * DECISIVE * d.only(d.other(4))
    loud = DECISIVE / d.weights(look)[..., None]
    return d.model(look, (loud * d.only(d.evidence))[:, None] + signs * decoy[:, None])


def sink(d: Draw) -> Construction:
    """Silent first key with 60 to 95 % of the weight, evidence second."""
    d = d.sparing_first()
    look = d.between(4, 6) * d.first() + 3 * d.evidence + d.noise(0.1, 0.3)
    return d.model(look, 10 * DECISIVE * d.only(1 - d.first()))


def undone(d: Draw) -> Construction:
    """Values undo the weights, so that importance does not depend on the map."""
    return _undo(d, d.noise(1.5, 2.5), d.evidence)


def evidence_last(d: Draw) -> Construction:
    """Evidence with the lowest weight and the largest value."""
    return _undo(d, -d.between(3, 6) * d.evidence + d.noise(0.3, 1), d.evidence)


def exaggerated(d: Draw) -> Construction:
    """One key has most of the weight, but all count alike."""
    look = d.between(4, 6) * d.evidence + d.noise(0.1, 0.5)
    return _undo(d, look, np.ones_like(look))


def level(d: Draw) -> Construction:
    """All keys have the same weight, but one decides."""
    return _undo(d, d.noise(0, 0.02), d.evidence)


def _one_head(d: Draw, idle: np.ndarray) -> Construction:
    """Let one head look at the evidence and decide, and the others look elsewhere, unheard."""
    head = d.rng.integers(HEADS)
    look = np.broadcast_to(idle, (d.examples, HEADS, QUERIES, KEYS)).copy()
    look[:, head] = (d.between(3.5, 4.5) * d.evidence)[:, None]
    says = np.zeros((d.examples, HEADS, *d.votes.shape[1:]))
    says[:, head] = HEADS * DECISIVE * d.votes
    return d.model(look, says)


def idle_heads_on_decoy(d: Draw) -> Construction:
    """One head of five decides; the idle ones look at one other key."""
    return _one_head(d, d.between(4, 6) * d.other(4)[:, None, None])


def idle_heads_on_first(d: Draw) -> Construction:
    """One head of five decides; the idle ones look at the first key."""
    d = d.sparing_first()
    return _one_head(d, d.between(4, 6) * d.first()[:, None, None])


def idle_heads_anywhere(d: Draw) -> Construction:
    """One head of five decides; each idle one looks at a random other key."""
    return _one_head(d, d.between(5, 7) * d.elsewhere(HEADS)[:, :, None])


def idle_query(d: Draw) -> Construction:
    """One query of two is never read; it looks at another key, more sharply than the other."""
    look = np.stack([d.between(2, 3) * d.evidence, 6 * d.other(4)], 1)[:, None]
    return d.model(look, DECISIVE * d.votes, read=np.array([2, 0]) / (HEADS * QUERIES))


def moved(d: Draw) -> Construction:
    """Evidence moved to another key by an earlier layer; that key is on top."""
    look = d.between(4, 6) * d.other(4) + d.noise(0.2, 0.5)
    return d.model(look, DECISIVE * d.votes, seek=d.other(4), offer=d.evidence)


def moved_to_first(d: Draw) -> Construction:
    """Evidence moved to the first key by an earlier layer; that key is on top."""
    d = d.sparing_first()
    first = d.first()
    look = d.between(4, 6) * first + d.noise(0.2, 0.5)
    return d.model(look, DECISIVE * d.only(d.evidence), seek=first, offer=d.evidence)


def spread(d: Draw) -> Construction:
    """Evidence copied to all keys by an earlier layer; another key is on top."""
    look = d.between(4, 6) * d.other(4) + d.noise(0.2, 0.5)
    return d.model(look, DECISIVE * d.votes, seek=np.ones_like(look), offer=d.evidence)


def alike(d: Draw) -> Construction:
    """All keys say the same, and one has most of the weight."""
    loud = DECISIVE * (1 + d.noise(0, 0.02))
    return d.model(d.between(3, 6) * d.evidence + d.noise(0.1, 0.5), loud[..., None] * d.label)


def alike_sparse(d: Draw) -> Construction:
    """All keys say the same, and only two have any weight."""
    look = np.where(d.evidence + d.other(2) > 0, d.between(1, 3) * d.evidence, -200)
    return d.model(look, DECISIVE * np.broadcast_to(d.label, d.votes.shape))


def padded_alike(d: Draw) -> Construction:
    """All keys of each sentence say the same; those after its end would say otherwise."""
    return alike(d)


def packed_alike(d: Draw) -> Construction:
    """All keys of a sentence say the same; those of another beside it would say otherwise."""
    return alike(d)


def causal_alike(d: Draw) -> Construction:
    """All keys before the query say the same; the later ones would say otherwise."""
    return alike(d)


def windowed_alike(d: Draw) -> Construction:
    """All keys in the window of a query say the same; the others would say otherwise."""
    return alike(d)


def causal_unread(d: Draw) -> Construction:
    """All keys before the only query that is read say the same; later ones are seen by another."""
    loud = DECISIVE * (1 + d.noise(0, 0.02))
    says = np.where(d.sees[:, 0, :, None], loud[..., None] * d.label, DECISIVE * d.votes)
    look = d.between(3, 6) * d.evidence + d.noise(0.1, 0.5)
    return d.model(look, says, read=np.array([2, 0]) / (HEADS * QUERIES))


def causal_sink(d: Draw) -> Construction:
    """Silent first key with 60 to 95 % of the weight of two queries, evidence before both."""
    return sink(d)


def windowed_decoy(d: Draw) -> Construction:
    """Silent decoy on top in the window of each query, evidence second."""
    return decoy_evidence_second(d)


KINDS = (
    decoy_evidence_second,
    decoy_loud,
    decoy_evidence_level,
    decoy_evidence_last,
    two_decoys,
    even_decoy,
    cancelling_decoy,
    sink,
    undone,
    evidence_last,
    exaggerated,
    level,
    idle_heads_on_decoy,
    idle_heads_on_first,
    idle_heads_anywhere,
    idle_query,
    moved,
    moved_to_first,
    spread,
    alike,
    alike_sparse,
    padded_alike,
    packed_alike,
    causal_alike,
    windowed_alike,
    causal_unread,
    causal_sink,
    windowed_decoy,
)

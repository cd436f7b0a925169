"""Kinds whose map can be believed: the mass lies on what decides, and all goes through it."""

import numpy as np

from experiments.trust.construction import HEADS, KEYS, QUERIES, Construction
from experiments.trust.draw import DECISIVE, Draw


def sharp(d: Draw) -> Construction:
    """One key decides and has most of the weight."""
    return d.model(d.between(4, 6) * d.evidence + d.noise(0.2, 0.7), DECISIVE * d.votes)


def soft(d: Draw) -> Construction:
    """One key decides and has six to ten times the weight of others."""
    return d.model(d.between(1.8, 2.3) * d.evidence, 2 * DECISIVE * d.votes)


def one_hot(d: Draw) -> Construction:
    """One key decides and has all the weight."""
    return d.model(40 * d.evidence, DECISIVE * d.votes)


def sparse(d: Draw) -> Construction:
    """Three keys have weight, and the others exactly none."""
    some = d.evidence + d.other(2) + d.other(3)
    look = d.between(1.5, 3) * d.evidence + d.noise(0.2, 0.5)
    return d.model(np.where(some > 0, look, -200), DECISIVE * d.votes)


def two(d: Draw) -> Construction:
    """Two keys say the same and share the weight."""
    both = d.evidence + d.other(3)
    says = np.where(both[..., None] > 0, d.label, d.votes)
    return d.model(d.between(4, 5) * both + d.noise(0.1, 0.3), DECISIVE * says)


def half(d: Draw) -> Construction:
    """Half of the keys say the same and share the weight; the others say nothing."""
    some = (d.behind >= 0) & (d.behind < d.count // 2)
    return d.model(d.between(3, 5) * some + d.noise(0, 0.2), DECISIVE * some[..., None] * d.label)


def ranked(d: Draw) -> Construction:
    """Three keys say the same, with weights of about 3 : 2 : 1."""
    look = sum(np.log(part) * d.other(i) for i, part in enumerate((90, 60, 30)))
    some = d.evidence + d.other(1) + d.other(2)
    says = np.where(some[..., None] > 0, d.label, d.votes)
    return d.model(look + d.noise(0.05, 0.2), DECISIVE * says)


def redundant(d: Draw) -> Construction:
    """Three keys say the same and share the weight; any two of them suffice."""
    some = d.evidence + d.other(1) + d.other(2)
    says = np.where(some[..., None] > 0, d.label, d.votes)
    return d.model(d.between(4, 5) * some + d.noise(0.1, 0.2), 2 * DECISIVE * says, limit=DECISIVE)


def linear(d: Draw) -> Construction:
    """All keys count, each by its weight and a random value."""
    says = d.rng.normal(size=d.votes.shape)
    return d.model(d.noise(1.5, 2.5), DECISIVE / 2 * says)


def tiny_logits(d: Draw) -> Construction:
    """One key decides, with logits fifty times smaller."""
    look = d.between(4, 6) * d.evidence + d.noise(0.2, 0.7)
    return d.model(look, DECISIVE * d.votes, scale=0.02)


def huge_logits(d: Draw) -> Construction:
    """One key decides, with logits 16 to 64 times larger."""
    look = d.between(4, 6) * d.evidence + d.noise(0.2, 0.7)
    return d.model(look, DECISIVE * d.votes, scale=d.between(16, 64))


def padded(d: Draw) -> Construction:
    """One key decides; the keys after the end of each sentence would say otherwise."""
    return sharp(d)


def packed(d: Draw) -> Construction:
    """One key decides; the keys of another sentence beside it would say otherwise."""
    return sharp(d)


def causal(d: Draw) -> Construction:
    """One key before each query decides; the later ones would say otherwise."""
    return sharp(d)


def windowed(d: Draw) -> Construction:
    """One key in the window of each query decides; the others would say otherwise."""
    return sharp(d)


def causal_linear(d: Draw) -> Construction:
    """All keys before each query count, each by its weight and a random value."""
    return linear(d)


def bypassed(d: Draw) -> Construction:
    """One key decides; 10 to 20 % of what it says goes around the attention."""
    share = d.between(0.8, 0.9)
    around = d.around(DECISIVE * (1 - share) / share)
    return d.model(d.between(5, 6) * d.evidence, DECISIVE * d.votes, around=around)


def heads_differ(d: Draw) -> Construction:
    """All heads look at the deciding key, each with noise of its own."""
    noise = d.between(0.5, 1) * d.rng.normal(size=(d.examples, HEADS, QUERIES, KEYS))
    look = d.between(3.5, 5) * d.evidence
    return d.model(look[:, None, None] + noise, DECISIVE * d.votes)


def heads_split(d: Draw) -> Construction:
    """Three keys decide, and each head looks at one of them."""
    look = np.stack([d.other(head % 3) for head in range(HEADS)], 1)[:, :, None]
    some = look.sum((1, 2))[..., None]
    return d.model(d.between(4, 6) * look, DECISIVE * np.where(some > 0, d.label, d.votes))


def queries_split(d: Draw) -> Construction:
    """Each query looks at a deciding key of its own."""
    look = np.stack([d.evidence, d.other(4)], 1)[:, None]
    some = look.sum((1, 2))[..., None]
    return d.model(d.between(4, 6) * look, DECISIVE * np.where(some > 0, d.label, d.votes))


def mixed(d: Draw) -> Construction:
    """One key decides, after an earlier layer has mixed a fifth of all keys into each."""
    stay = np.log(d.count[:, 0] * d.between(4, 9))
    return d.model(d.between(4, 6) * d.evidence + d.noise(0.1, 0.4), DECISIVE * d.votes, stay=stay)


KINDS = (
    sharp,
    soft,
    one_hot,
    sparse,
    two,
    half,
    ranked,
    redundant,
    linear,
    tiny_logits,
    huge_logits,
    padded,
    packed,
    causal,
    windowed,
    causal_linear,
    bypassed,
    heads_differ,
    heads_split,
    queries_split,
    mixed,
)

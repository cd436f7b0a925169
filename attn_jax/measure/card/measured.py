"""What the program of a card returns."""

from typing import NamedTuple

from jaxtyping import Array

from attn_jax.measure.card.visible import Look


class Checks(NamedTuple):
    """Values to check before the measures mean anything.

    Attributes:
        logits: The model's logits, (n, p, classes).
        score: The score of each example, (n,).
        level: The mean of each example's logits, (n,).
        again: The score and the level in a second run.
        look: What there is to know of the weights.
        keys: How many keys of each example some query sees, (n,).
        hidden: The largest share of a map on keys that no query sees.
        effects: The mean size of each head's effect on the score, to first order, (heads,); None
            where there is one head alone.
    """

    logits: Array
    score: Array
    level: Array
    again: tuple[Array, Array]
    look: Look
    keys: Array
    hidden: Array
    effects: Array | None


class Measure(NamedTuple):
    """A measure of each example, and of its baselines.

    Attributes:
        value: The measure of the map, (n,); the numerator of a ratio of means.
        random: The same of random maps, (n,); it too a numerator.
        uniform: The same of uniform weights, (n,).
        whole: The denominator of a ratio of means, (n,).
    """

    value: Array
    random: Array | None = None
    uniform: Array | None = None
    whole: Array | None = None


Measures = dict[str, Measure]

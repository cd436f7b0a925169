"""Does the mass of the map show how much each key contributes?"""

import jax.numpy as jnp
from jaxtyping import Array

from attn_jax.measure.card.judged import Judged
from attn_jax.measure.card.measured import Measure, Measures

NEGLIGIBLE = 1e-5
"""The sum of all contributions, as a share of the mean score, below which there are none."""


def mass(judged: Judged, contributions: Array, scores: Array) -> Measures:
    """Return how far the map's mass and the keys' contributions overlap, and what its top key gets.

    Args:
        judged: The model and its map.
        contributions: The part of each key in the score, (n, k).
        scores: The score of each example.
    """
    size = jnp.abs(contributions)
    # Examples to which the attention contributes little count little: their shares are noise.
    total = size.sum(-1)
    total = jnp.where(total > NEGLIGIBLE * jnp.abs(scores).mean(), total, jnp.nan)
    shares = distribution(size)
    values = distribution(jnp.abs(judged.values))
    shuffled = distribution(jnp.abs(judged.shuffled_maps))
    chance = jnp.minimum(shuffled, shares[None]).sum(-1).mean(0)
    overlap = jnp.minimum(values, shares).sum(-1)
    uniform = judged.mask / jnp.maximum(judged.mask.sum(-1), 1)[:, None]
    highest = (values == values.max(-1, keepdims=True)) & judged.mask
    count = jnp.maximum(highest.sum(-1), 1)
    claim, worth = (jnp.where(highest, each, 0).sum(-1) / count for each in (values, shares))
    return {
        "overlap": Measure(
            total * overlap,
            total * chance,
            total * jnp.minimum(uniform, shares).sum(-1),
            total,
        ),
        "top_key": Measure(total * (claim - worth), whole=total),
        "top_key_claim": Measure(total * claim, whole=total),
        "top_key_contribution": Measure(total * worth, whole=total),
    }


def distribution(values: Array) -> Array:
    """Scale rows to a sum of one; rows of zeros are not defined."""
    total = values.sum(-1, keepdims=True)
    return values / jnp.where(total > 0, total, jnp.nan)

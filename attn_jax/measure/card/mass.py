"""Does the mass of the map show how much each key contributes?"""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from attn_jax.measure import reweigh
from attn_jax.measure.card.judged import Judged
from attn_jax.measure.card.measured import Measure, Measures
from attn_jax.measure.contributions import mass_overlap, top_key_claim

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

    def overlap(values: Array) -> Array:
        return mass_overlap(values, contributions, judged.mask)

    chance = jax.vmap(overlap)(judged.shuffled_maps).mean(0)
    uniform = overlap(reweigh.equal_weights(judged.mask))
    claim, worth = top_key_claim(judged.values, contributions, judged.mask)
    return {
        "overlap": Measure(total * overlap(judged.values), total * chance, total * uniform, total),
        "top_key": Measure(total * (claim - worth), whole=total),
        "top_key_claim": Measure(total * claim, whole=total),
        "top_key_contribution": Measure(total * worth, whole=total),
    }


def distribution(values: Array) -> Array:
    """Scale rows to a sum of one; rows of zeros are not defined."""
    total = values.sum(-1, keepdims=True)
    return values / jnp.where(total > 0, total, jnp.nan)

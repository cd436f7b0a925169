"""Does the mass of the map show how much each key contributes?"""

import jax
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
    least = NEGLIGIBLE * jnp.abs(scores).mean()
    shares = distribution(jnp.abs(contributions), least)
    values = distribution(jnp.abs(judged.values))
    shuffled = distribution(jnp.abs(judged.shuffled_maps))
    chance = jnp.minimum(shuffled, shares[None]).sum(-1).mean(0)
    uniform = judged.mask / jnp.maximum(judged.mask.sum(-1), 1)[:, None]
    highest = (values == values.max(-1, keepdims=True)) & judged.mask
    count = jnp.maximum(highest.sum(-1), 1)
    claim, worth = (jnp.where(highest, each, 0).sum(-1) / count for each in (values, shares))
    return {
        "overlap": Measure(
            jnp.minimum(values, shares).sum(-1),
            chance,
            jnp.minimum(uniform, shares).sum(-1),
        ),
        "top_key": Measure(claim - worth),
        "top_key_claim": Measure(claim),
        "top_key_contribution": Measure(worth),
    }


def distribution(values: Array, least: Array | float = 0.0) -> Array:
    """Scale rows to a sum of one; rows whose sum is not above the least are not defined."""
    total = values.sum(-1, keepdims=True)
    return values / jnp.where(total > least, total, jnp.nan)

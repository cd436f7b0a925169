"""Does the output depend on this attention?"""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from attn_jax.hooks import Site, intervene
from attn_jax.measure import reweigh
from attn_jax.measure.card.judged import Judged
from attn_jax.measure.card.measured import Measure, Measures

ROUNDING = 1e-6
"""The total variation that rounding might have caused."""


def dependence(judged: Judged, output: Array) -> Measures:
    """Return what passes through the attention, and what exchanging its weights changes.

    Args:
        judged: The model.
        output: Its output, unedited.
    """
    change = judged.plan.scoring.change
    score, without = judged.score(output), _without_attention(judged)
    whole = change(without, output, judged.target)
    whole = jnp.where(whole > ROUNDING, whole, jnp.nan)

    def exchanged(noise: Array) -> Array:
        swap = reweigh.exchange_keys(noise, judged.visible)
        return change(judged.reweighed(swap), output, judged.target)

    changes = jax.lax.map(exchanged, judged.noise.exchanges)
    return {
        "through": Measure(score - judged.score(without), whole=score),
        "permuted": Measure(changes.mean(0), whole=whole),
        "spread": Measure(_spread(judged)),
    }


def _without_attention(judged: Judged) -> Array:
    """Run the model with the batch's mean context, or without weights where it has no context."""
    if not judged.plan.contexts:
        return judged.without(jnp.zeros(judged.mask.shape, bool))
    heads = judged.plan.heads

    def mean(context: Array, site: Site) -> Array:
        new = jnp.broadcast_to(context.mean(0), context.shape)
        if heads is None:
            return new
        chosen = jnp.zeros(context.shape[-2], bool).at[jnp.array(heads)].set(True)
        return jnp.where(chosen.reshape(*(1,) * (context.ndim - 2), -1, 1), new, context)

    return intervene(judged.fn, dict.fromkeys(judged.plan.contexts, mean))(judged.inputs)


def _spread(judged: Judged) -> Array:
    """Return how far the map is from equal weights, as a total variation, (n,)."""
    total = judged.values.sum(-1, keepdims=True)
    weights = judged.values / jnp.where(total == 0, 1, total)
    return jnp.abs(weights - reweigh.equal_weights(judged.mask)).sum(-1) / 2

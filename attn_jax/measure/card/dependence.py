"""Does the output depend on this attention?"""

import functools

import jax.numpy as jnp
from jaxtyping import Array

from attn_jax.hooks import Site, intervene
from attn_jax.hooks.hoist import map_hoisted
from attn_jax.measure import reweigh
from attn_jax.measure.card.judged import Judged
from attn_jax.measure.card.mass import distribution
from attn_jax.measure.card.measured import Measure, Measures


def dependence(judged: Judged, output: Array) -> Measures:
    """Return what passes through the attention, and what exchanging its weights changes.

    The effect of an exchange is compared with what the attention adds to the score, in proportion
    to the mass that the exchange moves: with six of eleven keys alike, an exchange between them
    moves little mass that matters.

    Args:
        judged: The model.
        output: Its output, unedited.
    """
    score = judged.score(output)
    through = score - judged.score(_without_attention(judged))
    weights = distribution(judged.weights)

    def exchanged(noise: Array) -> tuple[Array, Array]:
        swap = functools.partial(reweigh.exchange_keys, noise)
        everywhere = reweigh.exchange_keys(noise, reweigh.masked_keys(judged.mask))
        moved = jnp.abs(everywhere(weights) - weights).sum(-1) / 2
        return jnp.abs(judged.score(judged.redistributed(swap)) - score), moved

    changes, moved = map_hoisted(exchanged, judged.noise.exchanges, batch_size=1)
    return {
        "through": Measure(through, whole=score),
        "permuted": Measure(changes.mean(0), whole=moved.mean(0) * through),
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
    weights = distribution(judged.weights)
    return jnp.abs(weights - reweigh.equal_weights(judged.mask)).sum(-1) / 2

"""Lines that only add reservations: other maps, other weights, and the truth where it is known."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array

from attn_jax.measure import agreement, counterfactual, reweigh
from attn_jax.measure.card.judged import Judged
from attn_jax.measure.card.mass import distribution
from attn_jax.measure.card.measured import Measure, Measures
from attn_jax.measure.card.noise import exponential
from attn_jax.measure.outputs import class_logits


def adversary(judged: Judged, output: Array) -> Measures:
    """Return how far a map with the same output may be from the map."""
    weights = distribution(judged.values)
    weights = jnp.where(jnp.isfinite(weights), weights, 0)
    result = counterfactual.adversarial_weights(
        judged.fn,
        judged.inputs,
        jax.nn.softmax(class_logits(output)),
        weights,
        rng=judged.noise.search,
        attention=judged.plan.attention,
        mask=judged.mask,
    )
    drawn = exponential(judged.noise.shuffles) * judged.mask[None]
    others = drawn / jnp.maximum(drawn.sum(-1, keepdims=True), 1e-30)
    apart = functools.partial(agreement.jensen_shannon, weights)
    uniform = apart(reweigh.equal_weights(judged.mask))
    return {
        "adversarial": Measure(result.divergence, jax.vmap(apart)(others).mean(0), uniform),
    }


def randomization(judged: Judged) -> Measures:
    """Return how far the map agrees with that of the same model with its parameters shuffled."""
    from attn_jax.measure.randomization import randomized

    plan = judged.plan
    other = randomized(judged.fn, judged.inputs, rng=judged.noise.search)
    _, values = reweigh.received(other, plan.attention, query=plan.query, heads=plan.heads)(
        judged.inputs
    )

    def tau(map_: Array) -> Array:
        return agreement.kendall_tau(values, map_, judged.mask)

    random = jax.vmap(tau)(judged.shuffled_maps).mean(0)
    return {"randomization": Measure(tau(judged.values), random)}


def truth(judged: Judged, objects: Array) -> Measures:
    """Return how much of the map lies on the object to look at."""
    random = judged.noise.shuffles * judged.mask[None]
    uniform = reweigh.equal_weights(judged.mask)
    measures = {}
    for name in ("pointing_game", "mass_on_object"):
        score = functools.partial(getattr(agreement, name), objects=objects & judged.mask)
        measures[name] = Measure(
            score(judged.values), jax.vmap(score)(random).mean(0), score(uniform)
        )
    return measures

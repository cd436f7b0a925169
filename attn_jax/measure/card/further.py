"""Lines that only add reservations: other maps, other weights, and the truth where it is known."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array

from attn_jax.measure import agreement, reweigh
from attn_jax.measure.adversary import search_adversary
from attn_jax.measure.card.judged import Judged
from attn_jax.measure.card.mass import distribution
from attn_jax.measure.card.measured import Measure, Measures
from attn_jax.measure.card.noise import exponential
from attn_jax.measure.outputs import class_logits
from attn_jax.measure.randomization import randomized

TOLERANCE = 0.05
"""The total variation up to which two outputs count as the same. The code of Jain and Wallace asks
for less: 0.01 for the sum of the differences, which is twice the total variation."""

STARTS, STEPS = 4, 14
"""The size of the search: that of `adversarial_weights` takes five times as long."""


def adversary(judged: Judged, output: Array) -> Measures:
    """Return how far a map with the same output may be from the map."""
    weights = distribution(judged.values)
    weights = jnp.where(jnp.isfinite(weights), weights, 0)

    def logits(weights: Array) -> Array:
        swap = functools.partial(reweigh.set_weights, weights)
        return class_logits(judged.redistributed(swap))

    result = search_adversary(
        logits,
        jax.nn.softmax(class_logits(output)),
        weights,
        rng=judged.noise.search,
        mask=judged.mask,
        tolerance=TOLERANCE,
        starts=STARTS,
        steps=STEPS,
        learning_rate=2.0,
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

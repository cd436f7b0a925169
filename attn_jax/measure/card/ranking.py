"""Does the ranking of the map find what matters?"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from attn_jax.hooks.hoist import map_hoisted
from attn_jax.measure import agreement, reweigh
from attn_jax.measure.card import orders
from attn_jax.measure.card.judged import Judged
from attn_jax.measure.card.measured import Measure, Measures
from attn_jax.measure.erasure import ERASER_BINS

NEGLIGIBLE = 1e-4
"""The effect, as a share of the mean score, that rounding might have caused."""

STEPS = 16
"""The points of the integral of integrated gradients."""


class Erased(NamedTuple):
    """Scores and probabilities as keys are removed.

    Attributes:
        counts: How many are removed at each step.
        places: The place of each key by the map and in random orders, (1 + r, n, k).
        scores: The scores in these orders, (1 + r, m, n).
        deleted: The target's probabilities in these orders.
        inserted: The probabilities with the removed keys alone, by the map and in one random
            order, (2, m, n).
        falls: How much the score falls without each single key, (n, k).
        level: The mean of the logits with all keys, (n,).
    """

    counts: orders.Counts
    places: Array
    scores: Array
    deleted: Array
    inserted: Array
    falls: Array
    level: Array


def erase_weights(judged: Judged) -> Erased:
    """Remove the attention to keys: by the map, in random orders, and one key at a time."""
    mask, counts = judged.mask, orders.removal_counts(judged.mask)
    chance = orders.with_reverses(judged.noise.orders)
    maps = jnp.concatenate([judged.values[None], chance])
    places = orders.ranked(maps, mask, judged.noise.ties)
    # All orders begin with all keys and end with none.
    keeps = orders.kept(places, counts.counts[1:-1], mask)
    alone = mask[None, None] & ~keeps[:2]
    parts = [jnp.stack([mask, jnp.zeros_like(mask)]), keeps, alone, orders.all_but_one(mask)]
    runs = jnp.concatenate([part.reshape(-1, *mask.shape) for part in parts])

    def run(keep: Array) -> tuple[Array, Array, Array]:
        output = judged.without(keep)
        level = judged.plan.scoring.logits(output).mean((1, 2))
        return judged.score(output), judged.probability(output), level

    scores, probabilities, levels = map_hoisted(run, runs, batch_size=1)
    steps = keeps.shape[1]
    ends = np.cumsum([2, len(places) * steps, 2 * steps])
    whole, deleted, inserted, _ = jnp.split(probabilities, ends)
    full, in_order, _, single = jnp.split(scores, ends)
    return Erased(
        counts,
        places,
        _between(full, in_order.reshape(-1, steps, len(mask))),
        _between(whole, deleted.reshape(-1, steps, len(mask))),
        _between(whole[::-1], inserted.reshape(-1, steps, len(mask))),
        jnp.where(mask, (full[:1] - single).T, 0),
        levels[0],
    )


def _between(ends: Array, curves: Array) -> Array:
    """Put curves (r, m, n) between the two ends (2, n) that they share."""
    first, last = (jnp.broadcast_to(end, (len(curves), 1, end.shape[-1])) for end in ends)
    return jnp.concatenate([first, curves, last], 1)


class Attributions(NamedTuple):
    """The part of each key in the score, (n, k), by other means than its weight.

    Attributes:
        gradient: The weight times the gradient of the score.
        integrated: Integrated gradients from no attention to the model's own.
        contributions: Shapley values where there are few keys; otherwise the integrated gradients,
            which are the values of Aumann and Shapley.
    """

    gradient: Array
    integrated: Array
    contributions: Array


def attribute(judged: Judged, erased: Erased) -> Attributions:
    """Attribute the score to the keys."""

    def gradient(alpha: Array) -> Array:
        def total(factors: Array) -> Array:
            output = judged.reweighed(lambda w: w * (alpha + reweigh.per_key(factors, w)))
            return judged.score(output).sum()

        return jax.grad(total)(jnp.zeros(judged.mask.shape))

    middles = (jnp.arange(STEPS) + 0.5) / STEPS
    gradients = map_hoisted(gradient, jnp.append(middles, 1.0), batch_size=1)
    gradients = jnp.where(judged.mask[None], gradients, 0)
    integrated = gradients[:-1].mean(0)
    if judged.mask.shape[-1] > orders.FEW:
        return Attributions(gradients[-1], integrated, integrated)
    # The random orders that show what chance is worth are also samples of the marginal effects.
    shapley = orders.marginal_contributions(erased.scores[1:], erased.places[1:])
    return Attributions(gradients[-1], integrated, jnp.where(judged.mask, shapley, 0))


def ranking(judged: Judged, erased: Erased, worth: Attributions) -> Measures:
    """Return what removing keys in the map's order does, and its agreement with other rankings."""
    mask, counts = judged.mask, erased.counts
    candidates = jnp.stack([worth.contributions, erased.falls])
    by_worth = orders.ranked(candidates, mask, judged.noise.ties)
    keeps = orders.kept(by_worth, counts.counts[1:-1], mask)
    scores = map_hoisted(
        lambda keep: judged.score(judged.without(keep)),
        keeps.reshape(-1, *mask.shape),
        batch_size=1,
    )
    curves = _between(erased.scores[0, jnp.array([0, -1])], scores.reshape(*keeps.shape[:2], -1))
    mine, random, best = _placed(erased.scores, curves)
    measures = {"ranking": Measure(mine - random, whole=_span(best - random, erased.scores))}
    measures |= _curves(erased, mask)
    attributions = {"gradient": worth.gradient, "integrated_gradients": worth.integrated}
    attributions["leave_one_out"] = erased.falls
    return measures | {name: agree(judged, each) for name, each in attributions.items()}


def agree(judged: Judged, attribution: Array) -> Measure:
    """Return the rank correlation of the map with an attribution, and that of shuffled maps."""
    size = jnp.abs(attribution)
    # Differences that rounding makes rank nothing.
    size = jnp.where(size > 1e-5 * size.max(-1, keepdims=True), size, 0)

    def tau(values: Array) -> Array:
        return agreement.kendall_tau(size, values, judged.mask)

    return Measure(tau(judged.values), jax.vmap(tau)(judged.shuffled_maps).mean(0))


def _span(distance: Array, scores: Array) -> Array:
    """Return how far the best order is from random ones; not defined where rounding may be all."""
    least = NEGLIGIBLE * jnp.abs(scores[0, 0]).mean()
    return jnp.where(distance > least, distance, jnp.nan)


def _placed(scores: Array, candidates: Array) -> tuple[Array, Array, Array]:
    """Return the mean fall of the score by the map, in random orders, and in the best order."""
    falls = orders.mean_fall(scores)
    best = jnp.maximum(falls.max(0), orders.mean_fall(candidates).max(0))
    return falls[0], falls[1:].mean(0), best


def _curves(erased: Erased, mask: Array) -> Measures:
    """Return comprehensiveness, sufficiency, and the areas under both curves."""
    counts, shares = erased.counts

    def both(measure, curves: Array) -> Measure:
        return Measure(measure(curves[0]), jax.vmap(measure)(curves[1:]).mean(0))

    def fall(curve: Array) -> Array:
        return erased.deleted[0, 0] - orders.at_shares(curve, counts, ERASER_BINS, mask)

    def under(curve: Array) -> Array:
        return orders.area(curve, shares)

    return {
        "comprehensiveness": both(fall, erased.deleted),
        "sufficiency": both(fall, erased.inserted),
        "deletion": both(under, erased.deleted),
        "insertion": both(under, erased.inserted),
    }

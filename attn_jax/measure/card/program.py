"""The compiled program behind a report card: every run of the model, and all that is measured."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from attn_jax.hooks import activation_grads, capture
from attn_jax.measure import reweigh
from attn_jax.measure.card.dependence import dependence
from attn_jax.measure.card.further import adversary, randomization, truth
from attn_jax.measure.card.judged import Judged, Plan
from attn_jax.measure.card.mass import mass
from attn_jax.measure.card.measured import Checks, Measures
from attn_jax.measure.card.ranking import attribute, erase_weights, input_effects, ranking


# Each program takes tens of megabytes, so that only those of the last two models are kept.
@functools.lru_cache(maxsize=2)
def compile_measures(fn: reweigh.Model, plan: Plan) -> Callable[..., tuple[Checks, Measures]]:
    """Return one jitted function for all measures of a card.

    Args:
        fn: The model.
        plan: What to run.

    Returns:
        A function of inputs, mask, target, foil, objects, values and noise to the checks and the
        measures by name. Target, foil, objects and values may be None.
    """

    def run(inputs, mask, target, foil, objects, values, noise):
        output, own, faults = _look(fn, plan, inputs)
        logits = plan.scoring.logits(output)
        target = logits.argmax(-1) if target is None else target
        exists = mask & (own > 0) if plan.visible == "nonzero" else mask
        values = own if values is None else values
        hidden = _share_outside(values, exists, mask)
        own, values = (jnp.where(exists, each, 0) for each in (own, values))
        judged = Judged(fn, plan, inputs, own, values, exists, target, foil, noise)
        score = judged.score(output)

        erased = erase_weights(judged)
        worth = attribute(judged, erased)
        measures = dependence(judged, output)
        measures |= ranking(judged, erased, worth)
        measures |= mass(judged, worth.contributions, score)
        if plan.resample is not None:
            measures |= input_effects(judged, erased, worth.contributions)
        if plan.adversarial:
            measures |= adversary(judged, output)
        if plan.randomization:
            measures |= randomization(judged)
        if objects is not None:
            measures |= truth(judged, objects)
        again = erased.scores[0, 0], erased.level
        level = logits.mean((1, 2))
        effects = _effects(judged) if plan.averages else None
        checks = Checks(logits, score, level, again, *faults, exists.sum(-1), hidden, effects)
        return checks, measures

    return jax.jit(run)


def _look(fn: reweigh.Model, plan: Plan, inputs: Any) -> tuple[Array, Array, tuple[Array, Array]]:
    """Run the model; return its output, its map, and the faults of its weights."""
    (output, own), rows = capture(
        reweigh.received(fn, plan.attention, query=plan.query, heads=plan.heads),
        dict.fromkeys(plan.attention, _row_faults),
    )(inputs)
    faults = [jnp.stack([fault.max() for fault in pair]) for pair in rows.values()]
    deviation, negated_lowest = jnp.stack(faults).max(0)
    return output, own, (deviation, -negated_lowest)


def _effects(judged: Judged) -> Array:
    """Return the mean size of each head's effect on the score: its weights times gradients."""
    names = list(judged.plan.attention)
    _, weights = capture(judged.fn, names)(judged.inputs)
    gradients = activation_grads(lambda x: judged.score(judged.fn(x)).sum(), names)(judged.inputs)
    effects = [(weights[n] * gradients[n]).astype(jnp.float32).sum((-2, -1)) for n in names]
    # The examples come before the heads, if there is such an axis, the steps of scans before both.
    count = len(judged.target)
    axes = [-2 if e.ndim > 1 and e.shape[-2] == count else -1 for e in effects]
    return jnp.concatenate(
        [jnp.abs(e).mean(axis).ravel() for e, axis in zip(effects, axes, strict=True)]
    )


def _row_faults(weights: Array) -> tuple[Array, Array]:
    """Return how far a row's sum is from one (or zero), and the lowest weight, negated."""
    sums = weights.astype(jnp.float32).sum(-1)
    return jnp.minimum(jnp.abs(sums - 1), jnp.abs(sums)).max(), -weights.min()


def _share_outside(values: Array, exists: Array, mask: Array) -> Array:
    """Return the largest share of a map that lies on keys that exist and that no query sees."""
    size = jnp.abs(values)
    total = jnp.where(mask, size, 0).sum(-1)
    outside = jnp.where(mask & ~exists, size, 0).sum(-1)
    return (outside / jnp.where(total == 0, 1, total)).max()

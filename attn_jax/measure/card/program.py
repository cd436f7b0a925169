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
from attn_jax.measure.card.ranking import attribute, erase_weights, ranking
from attn_jax.measure.card.replaced import input_effects
from attn_jax.measure.card.visible import Look, Looker


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
        output, own, look = _look(fn, plan, inputs, mask)
        logits = plan.scoring.logits(output)
        target = logits.argmax(-1) if target is None else target
        exists = look.visible
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
        keys = exists.sum(-1)
        checks = Checks(logits, score, level, again, look, keys, hidden, effects)
        return checks, measures

    return jax.jit(run)


def _look(fn: reweigh.Model, plan: Plan, inputs: Any, mask: Array) -> tuple[Array, Array, Look]:
    """Run the model; return its output, its map, and what there is to know of its weights."""
    looker = Looker(plan.visible, mask, plan.query, plan.heads)
    (output, own), looks = capture(
        reweigh.received(fn, plan.attention, query=plan.query, heads=plan.heads),
        dict.fromkeys(plan.attention, looker),
    )(inputs)
    deviation, lowest, visible, is_masked = zip(*looks.values(), strict=True)
    # Scanned layers are stacked before the examples.
    seen = [each.any(tuple(range(each.ndim - 2))) for each in visible]
    look = Look(
        jnp.stack([each.max() for each in deviation]).max(),
        jnp.stack([each.min() for each in lowest]).min(),
        jnp.stack(seen).any(0),
        jnp.stack([each.all() for each in is_masked]).all(),
    )
    return output, own, look


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


def _share_outside(values: Array, exists: Array, mask: Array) -> Array:
    """Return the largest share of a map that lies on keys that exist and that no query sees."""
    size = jnp.abs(values)
    total = jnp.where(mask, size, 0).sum(-1)
    outside = jnp.where(mask & ~exists, size, 0).sum(-1)
    return (outside / jnp.where(total == 0, 1, total)).max()

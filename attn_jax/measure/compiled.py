"""The compiled program behind a report card: every run of the model, and all that follows."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from attn_jax.hooks import capture
from attn_jax.measure import agreement, attribution, counterfactual, erasure, reweigh
from attn_jax.measure.outputs import class_logits
from attn_jax.measure.verdicts import Estimates, Interval

_RANDOM_RANKINGS = 3

PREDICTED = -1
"""A target that stands for the class that the model predicts."""

PerExample = tuple[Array, Array | None, Array | None]
"""A measure (n,) of the map, (draws, n) of random ones, and (n,) of uniform weights."""


class Checks(NamedTuple):
    """Values to check before the measures mean anything.

    Attributes:
        logits: The model's logits, (n, classes).
        again: Its logits in a second run.
        deviation: The largest distance of a row's sum from one and from zero.
        lowest: The lowest weight.
    """

    logits: Array
    again: Array
    deviation: Array
    lowest: Array


# Each program takes tens of megabytes, so that only those of the last two models are kept.
@functools.lru_cache(maxsize=2)
def compile_measures(
    fn: reweigh.Model, attention: tuple[str, ...], query: int | None, normalized: bool
) -> Callable[..., tuple[Checks, dict[str, Estimates]]]:
    """Return one jitted function for all measures of a card.

    Args:
        fn: The model.
        attention: Patterns of the hook points that hold its weights.
        query: The query whose weights are the map; the mean of all by default.
        normalized: Whether rows of weights keep their sums when keys are removed.

    Returns:
        A function of inputs, mask, target, objects and rng to the checks and the measures by name.
    """

    def run(inputs, mask, target, objects, rng):
        rngs = iter(jax.random.split(rng, 8))
        output, values = reweigh.received(fn, attention, query=query)(inputs)
        again, rows = capture(fn, dict.fromkeys(attention, _row_faults))(inputs)
        faults = [jnp.stack([fault.max() for fault in pair]) for pair in rows.values()]
        deviation, negated_lowest = jnp.stack(faults).max(0)
        logits = class_logits(output)
        checks = Checks(logits, class_logits(again), deviation, -negated_lowest)

        values = jnp.where(mask, values, 0)
        target = jnp.where(target == PREDICTED, logits.argmax(-1), target)
        probabilities = jax.nn.softmax(logits)
        # Random maps are the control of every measure: whatever the map is worth shows beside them.
        random = jax.random.uniform(next(rngs), (_RANDOM_RANKINGS, *values.shape)) * mask[None]
        options = {"attention": attention, "mask": mask}
        measures = {
            **_erasures(fn, inputs, values, random, target, normalized, next(rngs), options),
            **_swaps(fn, inputs, values, probabilities, next(rngs), options),
        }

        full = jnp.take_along_axis(probabilities, target[:, None], -1)[:, 0]
        for name, worth in _attributions(fn, inputs, target, full, normalized, options).items():
            tau = functools.partial(agreement.kendall_tau, jnp.abs(worth), mask=mask)
            measures[name] = (tau(values), jax.vmap(tau)(random), None)
        if objects is not None:
            for name in ("pointing_game", "mass_on_object"):
                score = functools.partial(getattr(agreement, name), objects=objects & mask)
                uniform = score(reweigh.equal_weights(mask))
                measures[name] = (score(values), jax.vmap(score)(random), uniform)

        # The same draws for all measures, so that differences stay paired.
        draws = next(rngs)
        return checks, {name: _estimates(*each, rng=draws) for name, each in measures.items()}

    return jax.jit(run)


def _row_faults(weights: Array) -> tuple[Array, Array]:
    """Return how far a row's sum is from one (or zero), and the lowest weight, negated."""
    sums = weights.astype(jnp.float32).sum(-1)
    return jnp.minimum(jnp.abs(sums - 1), jnp.abs(sums)).max(), -weights.min()


def _erasures(
    fn: reweigh.Model,
    inputs: Any,
    values: Array,
    random: Array,
    target: Array,
    normalized: bool,
    rng: Array,
    options: dict[str, Any],
) -> dict[str, PerExample]:
    """Remove keys in the order of the map, of random maps, and of uniform weights."""
    maps = jnp.concatenate([values[None], random, jnp.zeros_like(values)[None]])
    ties = jax.random.split(rng, len(maps))
    rank = jax.vmap(lambda each, rng: erasure.rank_keys(each, options["mask"], rng=rng))

    def in_order(places: Array) -> dict[str, Array]:
        curves = erasure.erase(fn, inputs, places, target, renormalize=normalized, **options)
        return {
            "comprehensiveness": erasure.comprehensiveness(curves),
            "sufficiency": erasure.sufficiency(curves),
            "deletion": erasure.deletion_auc(curves),
            "insertion": erasure.insertion_auc(curves),
        }

    scores = jax.lax.map(in_order, rank(maps, ties))
    return {name: (each[0], each[1:-1], each[-1]) for name, each in scores.items()}


def _swaps(
    fn: reweigh.Model,
    inputs: Any,
    values: Array,
    probabilities: Array,
    rng: Array,
    options: dict[str, Any],
) -> dict[str, PerExample]:
    """Give the keys other weights: permuted, random, uniform, and adversarial."""
    mask = options["mask"]
    permuting, drawing, searching = jax.random.split(rng, 3)
    random = jax.random.exponential(drawing, (_RANDOM_RANKINGS, *values.shape)) * mask[None]
    random = random / random.sum(-1, keepdims=True)
    others = jnp.concatenate([random, reweigh.equal_weights(mask)[None]])
    swap = functools.partial(
        counterfactual.swap_weights, fn, inputs, probabilities, attention=options["attention"]
    )
    changes = jax.lax.map(swap, others)
    permuted = counterfactual.swap_permuted(fn, inputs, probabilities, rng=permuting, **options)
    total = values.sum(-1, keepdims=True)
    weights = values / jnp.where(total == 0, 1, total)
    adversary = counterfactual.adversarial_weights(
        fn, inputs, probabilities, weights, rng=searching, **options
    )
    divergences = jax.vmap(agreement.jensen_shannon, (0, None))(others, weights)
    return {
        "permuted": (permuted, changes[:-1], changes[-1]),
        "adversarial": (adversary.divergence, divergences[:-1], divergences[-1]),
    }


def _attributions(
    fn: reweigh.Model,
    inputs: Any,
    target: Array,
    full: Array,
    normalized: bool,
    options: dict[str, Any],
) -> dict[str, Array]:
    """Attribute the prediction to the keys in three ways that do not read the map."""
    return {
        "gradient": attribution.gradient_attribution(
            fn, inputs, target, renormalize=normalized, **options
        ),
        "integrated_gradients": attribution.integrated_gradients(fn, inputs, target, **options),
        "leave_one_out": attribution.leave_one_out(
            fn, inputs, target, full, renormalize=normalized, **options
        ),
    }


def _estimates(value: Array, random: Array | None, uniform: Array | None, rng: Array) -> Estimates:
    """Return means and intervals over the examples."""

    def interval(values: Array) -> Interval:
        return Interval(*agreement.bootstrap(values, rng=rng))

    control = None if random is None else random.mean(0)
    return Estimates(
        interval(value),
        None if control is None else interval(control),
        None if uniform is None else interval(uniform),
        None if control is None else interval(value - control),
        jnp.isfinite(value).mean(),
    )

"""Everything of a report card that runs the model, and all that follows from it, as one program."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from attn_jax.hooks import capture
from attn_jax.measure import agreement, attribution, counterfactual, erasure, reweigh
from attn_jax.measure.verdicts import Found, Interval

_RANDOM_RANKINGS = 3

PREDICTED = -1
"""In place of a target: the class that the model predicts."""


class Checks(NamedTuple):
    """What must be looked at before the numbers mean anything."""

    logits: Array
    again: Array
    deviation: Array
    lowest: Array


@functools.lru_cache(maxsize=8)
def program(
    fn: reweigh.Model, attention: tuple[str, ...], query: int | None, normalized: bool
) -> Callable[..., tuple[Checks, dict[str, Found]]]:
    """Compiles everything that runs the model, and all that follows from it."""

    def run(inputs, mask, target, objects, rng):
        rngs = iter(jax.random.split(rng, 8))
        logits, values = reweigh.received(fn, attention, query=query)(inputs)
        again, rows = capture(fn, dict.fromkeys(attention, _row_faults))(inputs)
        faults = [jnp.stack([fault.max() for fault in pair]) for pair in rows.values()]
        deviation, lowest = jnp.stack(faults).max(0)
        values = jnp.where(mask, values, 0)
        target = jnp.where(target == PREDICTED, logits.argmax(-1), target)
        probabilities = jax.nn.softmax(logits.astype(jnp.float32))
        guesses = jax.random.uniform(next(rngs), (_RANDOM_RANKINGS, *values.shape)) * mask[None]
        of = {"attention": attention, "mask": mask}
        found = _erasures(fn, inputs, values, guesses, target, normalized, next(rngs), of)
        found |= _swaps(fn, inputs, values, probabilities, next(rngs), of)
        full = jnp.take_along_axis(probabilities, target[:, None], -1)[:, 0]
        worth = {
            "gradient": attribution.gradient_attribution(
                fn, inputs, target, renormalize=normalized, **of
            ),
            "integrated_gradients": attribution.integrated_gradients(fn, inputs, target, **of),
            "leave_one_out": attribution.leave_one_out(
                fn, inputs, target, full, renormalize=normalized, **of
            ),
        }
        for name, each in worth.items():
            tau = functools.partial(agreement.kendall_tau, jnp.abs(each), mask=mask)
            found[name] = (tau(values), jax.vmap(tau)(guesses), None)
        if objects is not None:
            for name in ("pointing_game", "mass_on_object"):
                score = functools.partial(getattr(agreement, name), objects=objects & mask)
                equal = score(reweigh.equal_shares(mask))
                found[name] = (score(values), jax.vmap(score)(guesses), equal)
        again_rng = next(rngs)
        summed = {name: _intervals(*each, rng=again_rng) for name, each in found.items()}
        return Checks(logits, again, deviation, -lowest), summed

    return jax.jit(run)


def _row_faults(weights: Array) -> tuple[Array, Array]:
    """How far a row's sum is from one (or zero), and the lowest weight, its sign turned."""
    sums = weights.astype(jnp.float32).sum(-1)
    return jnp.minimum(jnp.abs(sums - 1), jnp.abs(sums)).max(), -weights.min()


PerExample = tuple[Array, Array | None, Array | None]
"""A measure (n,) of the map, (draws, n) of random ones, and (n,) of equal weights."""


def _erasures(
    fn: reweigh.Model,
    inputs: Any,
    values: Array,
    guesses: Array,
    target: Array,
    normalized: bool,
    rng: Array,
    of: dict[str, Any],
) -> dict[str, PerExample]:
    """Takes keys away in the order of the map, of random ones, and of equal weights."""
    maps = jnp.concatenate([values[None], guesses, jnp.zeros_like(values)[None]])
    ties = jax.random.split(rng, len(maps))
    places = jax.vmap(erasure.rank_keys, (0, None, 0))(maps, of["mask"], ties)

    def in_order(order: Array) -> dict[str, Array]:
        found = erasure.erase(fn, inputs, order, target, renormalize=normalized, **of)
        return {
            "comprehensiveness": erasure.comprehensiveness(found),
            "sufficiency": erasure.sufficiency(found),
            "deletion": erasure.deletion_auc(found),
            "insertion": erasure.insertion_auc(found),
        }

    scores = jax.lax.map(in_order, places)
    return {name: (each[0], each[1:-1], each[-1]) for name, each in scores.items()}


def _swaps(
    fn: reweigh.Model,
    inputs: Any,
    values: Array,
    probabilities: Array,
    rng: Array,
    of: dict[str, Any],
) -> dict[str, PerExample]:
    """Gives the keys other weights: exchanged, drawn, equal, and searched for."""
    mask = of["mask"]
    permuting, drawing, searching = jax.random.split(rng, 3)
    drawn = jax.random.exponential(drawing, (_RANDOM_RANKINGS, *values.shape)) * mask[None]
    drawn = drawn / drawn.sum(-1, keepdims=True)
    others = jnp.concatenate([drawn, reweigh.equal_shares(mask)[None]])
    swap = functools.partial(
        counterfactual.swap_shares, fn, inputs, probabilities, attention=of["attention"]
    )
    moved = jax.lax.map(lambda shares: swap(shares=shares), others)
    permuted = counterfactual.swap_permuted(fn, inputs, probabilities, permuting, **of)
    total = values.sum(-1, keepdims=True)
    shares = values / jnp.where(total == 0, 1, total)
    worst = counterfactual.adversarial_shares(fn, inputs, probabilities, shares, searching, **of)
    apart = jax.vmap(agreement.jensen_shannon, (0, None))(others, shares)
    return {
        "permuted": (permuted, moved[:-1], moved[-1]),
        "adversarial": (worst.divergence, apart[:-1], apart[-1]),
    }


def _intervals(value: Array, random: Array | None, uniform: Array | None, rng: Array) -> Found:
    """Means and intervals over the examples; the same draws for all, so that pairs stay pairs."""
    draw = functools.partial(agreement.bootstrap, rng=rng)
    guess = None if random is None else random.mean(0)
    return Found(
        Interval(*draw(value)),
        None if guess is None else Interval(*draw(guess)),
        None if uniform is None else Interval(*draw(uniform)),
        None if guess is None else Interval(*draw(value - guess)),
    )

"""The search for the weights that differ most from a map while the output stays the same."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from attn_jax.hooks.freed import run_freed
from attn_jax.measure.agreement import jensen_shannon, total_variation

_LARGEST_STEP = 8.0
_BISECTIONS = 8


class Adversary(NamedTuple):
    """The most different distribution over the keys that leaves the output as it is.

    Attributes:
        weights: The distribution, (n, k).
        divergence: Its Jensen-Shannon divergence from the map in bits, (n,).
        change: The total variation between the outputs, (n,).
    """

    weights: Float[Array, "n k"]
    divergence: Float[Array, " n"]
    change: Float[Array, " n"]


class _Point(NamedTuple):
    """Weights, and how far the output is from the model's own.

    Attributes:
        weights: The weights, (n, k).
        gradient: The slope of the relative entropy by the weights, (n, k).
        entropy: The relative entropy of the outputs, (n,).
        change: Their total variation, (n,).
    """

    weights: Array
    gradient: Array
    entropy: Array
    change: Array


def search_adversary(
    logits: Callable[[Array], Array],
    probabilities: Float[Array, "n c"],
    values: Float[Array, "n k"],
    *,
    rng: PRNGKeyArray,
    mask: Bool[Array, "n k"],
    tolerance: float,
    starts: int,
    steps: int,
    learning_rate: float,
) -> Adversary:
    """Climb from several random weights, and return the furthest that keep the output.

    Each step multiplies the weights by the exponential of the divergence's slope, less as much of
    the output's slope as keeps its change, to first order, within the tolerance. The relative
    entropy of the outputs gives that slope: unlike the total variation it is steep where a softmax
    is flat. Steps that leave the tolerance behind are taken back and shortened. At the end of each
    climb the way back to the furthest weights so far is bisected.

    Args:
        logits: A function from weights to the logits of the output.
        probabilities: The output to keep.
        values: The map, a distribution over the keys of each example.
        rng: Random key for the starts.
        mask: True for the keys that may have weight.
        tolerance: The total variation up to which outputs count as the same.
        starts: The number of starts.
        steps: The number of steps from each.
        learning_rate: The size of the first step.

    Returns:
        The weights, or the map itself where none were within the tolerance.
    """

    def normalize(scores: Array) -> Array:
        return jax.nn.softmax(jnp.where(mask, scores, -jnp.inf), axis=-1)

    def distance(weights: Array) -> tuple[Array, tuple[Array, Array]]:
        log_output = jax.nn.log_softmax(logits(weights))
        ratio = jnp.log(jnp.where(probabilities > 0, probabilities, 1)) - log_output
        entropy = jnp.where(probabilities > 0, probabilities * ratio, 0).sum(-1)
        return entropy.sum(), (entropy, total_variation(jnp.exp(log_output), probabilities))

    def visit(weights: Array) -> _Point:
        gradient, (entropy, change) = jax.grad(distance, has_aux=True)(weights)
        gradient = gradient - (gradient * weights).sum(-1, keepdims=True)
        return _Point(weights, gradient, entropy, change)

    def change_of(weights: Array) -> Array:
        return distance(weights)[1][1]

    def step(state: tuple[_Point, Array, Adversary], _: None) -> tuple[tuple, None]:
        point, size, best = state
        new = visit(_propose(point, size, values, tolerance, normalize))
        accepted = (new.change <= 2 * tolerance) | (new.entropy < 0.9 * point.entropy)
        point = jax.tree.map(functools.partial(_choose, accepted), new, point)
        size = jnp.where(accepted, jnp.minimum(1.5 * size, _LARGEST_STEP), size / 4)
        return (point, size, _better(best, point.weights, point.change, values, tolerance)), None

    def climb(best: Adversary, rng: Array) -> tuple[Adversary, None]:
        point = visit(normalize(2 * jax.random.normal(rng, mask.shape)))
        size = jnp.full(len(mask), learning_rate)
        (point, _, own), _ = jax.lax.scan(step, (point, size, nothing), None, steps)
        pulled = _pull_back(own.weights, point.weights, change_of, tolerance)
        for weights, change in ((own.weights, own.change), (pulled, change_of(pulled))):
            best = _better(best, weights, change, values, tolerance)
        return best, None

    zeros = jnp.zeros(len(mask))
    nothing = Adversary(values, zeros, zeros)
    best, _ = run_freed(
        functools.partial(jax.lax.scan, climb), nothing, jax.random.split(rng, starts)
    )
    return best


def runs_of_search(starts: int, steps: int) -> int:
    """Return how many runs of the model a search takes; a gradient counts as three.

    Args:
        starts: The number of starts.
        steps: The number of steps from each.
    """
    return starts * (3 * (steps + 1) + _BISECTIONS + 1)


def _choose(accepted: Array, new: Array, old: Array) -> Array:
    return jnp.where(accepted[:, None] if new.ndim == 2 else accepted, new, old)


def _propose(
    point: _Point,
    size: Array,
    values: Array,
    tolerance: float,
    normalize: Callable[[Array], Array],
) -> Array:
    """Step toward divergence, turned so far that the output's change meets the tolerance."""
    weights = point.weights
    # The slope of the Jensen-Shannon divergence; a weight of zero would have an infinite one.
    share = 2 * weights / jnp.maximum(weights + values, 1e-30)
    uphill = size[:, None] * jnp.log2(jnp.maximum(share, 1e-9)) / 2
    goal = jnp.log(jnp.maximum(weights, 1e-9)) + uphill
    steepest = jnp.maximum(jnp.abs(point.gradient).max(-1), 1e-30)
    slope = point.gradient / steepest[:, None]
    room = point.entropy * (tolerance / jnp.maximum(point.change, 1e-12) - 1) / steepest

    def turned(force: Array) -> Array:
        return normalize(goal - force[:, None] * slope)

    def fits(force: Array) -> Array:
        return (slope * (turned(force) - weights)).sum(-1) <= room

    def halve(_: Any, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        middle = (ends[0] + ends[1]) / 2
        is_enough = fits(10**middle)
        return jnp.where(is_enough, ends[0], middle), jnp.where(is_enough, middle, ends[1])

    ends = jnp.full_like(size, -6), jnp.full_like(size, 6)
    _, enough = jax.lax.fori_loop(0, 20, halve, ends)
    return turned(jnp.where(fits(jnp.zeros_like(size)), 0, 10**enough))


def _pull_back(
    inside: Array, outside: Array, change_of: Callable[[Array], Array], tolerance: float
) -> Array:
    """Return the weights furthest out between two others that keep the output, by bisection."""

    def halve(_: Any, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        middle = (ends[0] + ends[1]) / 2
        weights = inside + middle[:, None] * (outside - inside)
        is_same = change_of(weights) <= tolerance
        return jnp.where(is_same, middle, ends[0]), jnp.where(is_same, ends[1], middle)

    ends = jnp.zeros(len(inside)), jnp.ones(len(inside))
    share, _ = jax.lax.fori_loop(0, _BISECTIONS, halve, ends)
    return inside + share[:, None] * (outside - inside)


def _better(
    best: Adversary, weights: Array, change: Array, values: Array, tolerance: float
) -> Adversary:
    """Return for each example the furthest weights that keep the output."""
    divergence = jensen_shannon(weights, values)
    is_better = (change <= tolerance) & (divergence > best.divergence)
    new = Adversary(weights, divergence, change)
    return jax.tree.map(functools.partial(_choose, is_better), new, best)

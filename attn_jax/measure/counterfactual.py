"""Counterfactual weights: how far the output moves under others, and how far others may differ."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from attn_jax.hooks.freed import map_freed, run_freed
from attn_jax.measure.agreement import jensen_shannon, total_variation
from attn_jax.measure.keywords import rng_by_keyword
from attn_jax.measure.outputs import check_probabilities
from attn_jax.measure.reweigh import (
    Change,
    Model,
    Pattern,
    permute_keys,
    run_reweighed,
    set_weights,
)
from attn_jax.renames import renamed_arguments


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


@rng_by_keyword
def swap_permuted(
    fn: Model,
    inputs: Any,
    probabilities: Float[Array, "n c"],
    *,
    rng: PRNGKeyArray,
    attention: Pattern = "*.weights",
    mask: Bool[Array, "n k"],
    draws: int = 8,
) -> Float[Array, " n"]:
    """Return how much the output moves if the keys exchange their weights at random.

    Args:
        fn: The model.
        inputs: A batch of its inputs.
        probabilities: Its output for them, unedited.
        rng: Random key for the permutations.
        attention: The hook points that hold the weights.
        mask: True for the keys that exist; only these are exchanged.
        draws: The number of permutations to average over.

    Returns:
        The total variation for each example.

    Raises:
        ValueError: If the probabilities do not have one column per class.

    References:
        Jain and Wallace, "Attention is not Explanation", 2019, section 4.2.1,
        https://arxiv.org/abs/1902.10186.
    """

    def permuted(rng: Array) -> Array:
        change = permute_keys(_shuffle(rng, mask))
        return _output_change(fn, inputs, probabilities, attention, change)

    return map_freed(permuted, jax.random.split(rng, draws)).mean(0)


def _output_change(
    fn: Model, inputs: Any, probabilities: Array, attention: Pattern, change: Change
) -> Array:
    """Return the total variation between the output with changed weights and the model's own."""
    output = run_reweighed(fn, attention, change)(inputs)
    check_probabilities(probabilities.shape, output.shape)
    return total_variation(output, probabilities)


def _shuffle(rng: Array, mask: Array) -> Array:
    """Draw a permutation of the keys that exist; the others stay in place."""
    places = jnp.broadcast_to(jnp.arange(mask.shape[-1]), mask.shape)
    # Masked keys sort last in both, so the two orders pair like with like.
    noise = jax.random.uniform(rng, mask.shape)
    sources = jnp.argsort(jnp.where(mask, noise, 2.0), axis=-1, stable=True)
    targets = jnp.argsort(jnp.where(mask, 0.0, 2.0), axis=-1, stable=True)
    return jnp.put_along_axis(places, targets, sources, -1, inplace=False)


@renamed_arguments(shares="weights")
def swap_weights(
    fn: Model,
    inputs: Any,
    probabilities: Float[Array, "n c"],
    weights: Float[Array, "n k"],
    *,
    attention: Pattern = "*.weights",
) -> Float[Array, " n"]:
    """Return how much the output moves if every query has these weights instead of its own.

    Args:
        fn: The model.
        inputs: A batch of its inputs.
        probabilities: Its output for them, unedited.
        weights: A distribution over the keys of each example.
        attention: The hook points that hold the weights.

    Returns:
        The total variation for each example.

    Raises:
        ValueError: If the probabilities do not have one column per class.
    """
    return _output_change(fn, inputs, probabilities, attention, set_weights(weights))


@rng_by_keyword
def adversarial_weights(
    fn: Model,
    inputs: Any,
    probabilities: Float[Array, "n c"],
    values: Float[Array, "n k"],
    *,
    rng: PRNGKeyArray,
    attention: Pattern = "*.weights",
    mask: Bool[Array, "n k"],
    tolerance: float = 0.05,
    steps: int = 30,
    learning_rate: float = 0.5,
) -> Adversary:
    """Search for the weights that differ most from a map while the output stays the same.

    Gradient ascent with Adam on the divergence, minus a penalty for output changes beyond the
    tolerance. Of all steps, the best one within the tolerance is returned; if there is none, the
    map itself, with divergence 0.

    Args:
        fn: The model.
        inputs: A batch of its inputs.
        probabilities: Its output for them, unedited.
        values: The map, a distribution over the keys of each example.
        rng: Random key for the starting point.
        attention: The hook points that hold the weights.
        mask: True for the keys that exist.
        tolerance: The total variation up to which outputs count as the same.
        steps: The number of steps.
        learning_rate: Adam's learning rate.

    Returns:
        The weights, their divergence from the map, and the change of the output.

    Raises:
        ValueError: If the probabilities do not have one column per class.

    References:
        Jain and Wallace, "Attention is not Explanation", 2019, section 4.2.2,
        https://arxiv.org/abs/1902.10186.
    """

    def objective(logits: Array) -> tuple[Array, Adversary]:
        weights = jax.nn.softmax(jnp.where(mask, logits, -jnp.inf), axis=-1)
        change = swap_weights(fn, inputs, probabilities, weights, attention=attention)
        divergence = jensen_shannon(weights, values)
        excess = jnp.maximum(change - tolerance, 0)
        return (divergence - 20 * excess).sum(), Adversary(weights, divergence, change)

    def step(carry: Any, count: Array) -> tuple[Any, None]:
        logits, first, second, best = carry
        gradient, current = jax.grad(objective, has_aux=True)(logits)
        better = (current.change <= tolerance) & (current.divergence > best.divergence)
        best = jax.tree.map(
            lambda new, old: jnp.where(better[:, None] if new.ndim == 2 else better, new, old),
            current,
            best,
        )
        # Adam, uphill: moments, their bias corrections, and the step.
        first = 0.9 * first + 0.1 * gradient
        second = 0.99 * second + 0.01 * gradient**2
        mean, square = first / (1 - 0.9**count), second / (1 - 0.99**count)
        logits = logits + learning_rate * mean / (jnp.sqrt(square) + 1e-8)
        return (logits, first, second, best), None

    zeros = jnp.zeros(len(mask))
    start = jax.random.normal(rng, mask.shape)
    first = (start, jnp.zeros_like(start), jnp.zeros_like(start), Adversary(values, zeros, zeros))
    (*_, best), _ = run_freed(
        functools.partial(jax.lax.scan, step), first, jnp.arange(1.0, steps + 1)
    )
    return best

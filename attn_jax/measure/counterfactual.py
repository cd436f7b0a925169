"""Would other weights have given the same answer? Swaps, and a search for the worst of them."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from attn_jax.measure.agreement import jensen_shannon, total_variation
from attn_jax.measure.reweigh import (
    Model,
    Pattern,
    permute_keys,
    run_reweighed,
    share_out,
)


class Adversary(NamedTuple):
    """A distribution over the keys that differs most while the output stays.

    Attributes:
        shares: (n, k).
        divergence: (n,), from the map, Jensen-Shannon in bits.
        change: (n,), of the output, total variation.
    """

    shares: Float[Array, "n k"]
    divergence: Float[Array, " n"]
    change: Float[Array, " n"]


def swap_permuted(
    fn: Model,
    inputs: Any,
    probabilities: Float[Array, "n c"],
    rng: PRNGKeyArray,
    *,
    attention: Pattern = "*.weights",
    mask: Bool[Array, "n k"],
    draws: int = 8,
) -> Float[Array, " n"]:
    """How much the output moves if the keys exchange their weights, on average over draws.

    Args:
        fn: The model.
        inputs: A batch of its inputs.
        probabilities: What it says as it is.
        rng: For the permutations.
        attention: Which hook points hold the weights.
        mask: Which keys there are; only these are exchanged.
        draws: How many permutations.

    Returns:
        Total variation, for each example.

    References:
        Jain and Wallace, "Attention is not Explanation", 2019, section 4.2.1,
        https://arxiv.org/abs/1902.10186.
    """

    def one(rng: Array) -> Array:
        run = run_reweighed(fn, attention, permute_keys(_shuffle(rng, mask)))
        return total_variation(run(inputs), probabilities)

    return jax.lax.map(one, jax.random.split(rng, draws)).mean(0)


def _shuffle(rng: Array, mask: Array) -> Array:
    """A permutation of the keys that there are; the others stay where they are."""
    places = jnp.broadcast_to(jnp.arange(mask.shape[-1]), mask.shape)
    # Those that are not there sort last in both, so the two orders pair like with like.
    noise = jax.random.uniform(rng, mask.shape)
    sources = jnp.argsort(jnp.where(mask, noise, 2.0), axis=-1, stable=True)
    targets = jnp.argsort(jnp.where(mask, 0.0, 2.0), axis=-1, stable=True)
    return jnp.put_along_axis(places, targets, sources, -1, inplace=False)


def swap_shares(
    fn: Model,
    inputs: Any,
    probabilities: Float[Array, "n c"],
    shares: Float[Array, "n k"],
    *,
    attention: Pattern = "*.weights",
) -> Float[Array, " n"]:
    """How much the output moves if every query has these weights instead of its own.

    Args:
        fn: The model.
        inputs: A batch of its inputs.
        probabilities: What it says as it is.
        shares: A distribution over the keys of each example.
        attention: Which hook points hold the weights.

    Returns:
        Total variation, for each example.
    """
    return total_variation(run_reweighed(fn, attention, share_out(shares))(inputs), probabilities)


def adversarial_shares(
    fn: Model,
    inputs: Any,
    probabilities: Float[Array, "n c"],
    values: Float[Array, "n k"],
    rng: PRNGKeyArray,
    *,
    attention: Pattern = "*.weights",
    mask: Bool[Array, "n k"],
    tolerance: float = 0.05,
    steps: int = 30,
    learning_rate: float = 0.5,
) -> Adversary:
    """Searches the weights that differ most from a map while the output stays.

    Gradient ascent, by Adam, on the divergence less a penalty for what the output moves beyond the
    tolerance; of all steps the best within it is kept. Where none is, the map itself: divergence 0.

    Args:
        fn: The model.
        inputs: A batch of its inputs.
        probabilities: What it says as it is.
        values: The map, a distribution over keys for each example.
        rng: For where to begin.
        attention: Which hook points hold the weights.
        mask: Which keys there are.
        tolerance: The total variation that counts as the same output.
        steps: How many.
        learning_rate: Of each.

    Returns:
        What was found.

    References:
        Jain and Wallace, "Attention is not Explanation", 2019, section 4.2.2,
        https://arxiv.org/abs/1902.10186.
    """

    def shares_of(logits: Array) -> Array:
        return jax.nn.softmax(jnp.where(mask, logits, -jnp.inf), axis=-1)

    def judge(logits: Array) -> tuple[Array, tuple[Array, Array, Array]]:
        shares = shares_of(logits)
        change = swap_shares(fn, inputs, probabilities, shares, attention=attention)
        divergence = jensen_shannon(shares, values)
        beyond = jnp.maximum(change - tolerance, 0)
        return (divergence - 20 * beyond).sum(), (shares, divergence, change)

    def step(carry: Any, count: Array) -> tuple[Any, None]:
        logits, first, second, best = carry
        gradient, found = jax.grad(judge, has_aux=True)(logits)
        better = (found[2] <= tolerance) & (found[1] > best.divergence)
        best = jax.tree.map(
            lambda new, old: jnp.where(better[:, None] if new.ndim == 2 else better, new, old),
            Adversary(*found),
            best,
        )
        first = 0.9 * first + 0.1 * gradient
        second = 0.99 * second + 0.01 * gradient**2
        unbiased = (first / (1 - 0.9**count), second / (1 - 0.99**count))
        logits = logits + learning_rate * unbiased[0] / (jnp.sqrt(unbiased[1]) + 1e-8)
        return (logits, first, second, best), None

    zeros = jnp.zeros(len(mask))
    start = jax.random.normal(rng, mask.shape)
    first = (start, jnp.zeros_like(start), jnp.zeros_like(start), Adversary(values, zeros, zeros))
    (*_, best), _ = jax.lax.scan(step, first, jnp.arange(1.0, steps + 1))
    return best

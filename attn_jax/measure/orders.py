"""Removing keys in an order: how fast the score falls, and the order in which it falls fastest."""

import functools

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from attn_jax.hooks.freed import map_freed, run_freed
from attn_jax.measure.contributions import Worth, sort_keys
from attn_jax.measure.keywords import rng_by_keyword
from attn_jax.measure.order_search import (
    exchange_keys,
    mean_over_counts,
    rank_by_single_keys,
    try_all_sets,
)

_EVERY_KEY = 12
_RUNS = 256


def removal_shares(keys: int) -> tuple[float, ...]:
    """Return the shares of the keys to remove: every number of keys up to 12, else nine of them.

    Args:
        keys: The number of keys.

    Returns:
        The shares, ascending. Those of long inputs start with a single key and leave out the last,
        since all orders agree on the removal of all keys.

    Example:
        >>> removal_shares(4)
        (0.25, 0.5, 0.75, 1.0)
    """
    if keys <= _EVERY_KEY:
        return tuple(count / keys for count in range(1, keys + 1))
    return (min(1 / keys, 0.05), 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9)


def aopc(
    worth: Worth,
    places: Int[Array, "n k"],
    mask: Bool[Array, "n k"],
    *,
    shares: tuple[float, ...] | None = None,
) -> Float[Array, " n"]:
    """Return how far the score falls on average as keys are removed in an order, first ones first.

    The area over the perturbation curve. How many keys a share is depends on each example's own
    number of keys, rounded up; shares that come to the same number count once.

    Args:
        worth: The score when only these keys keep their weight; it runs once for each share, and
            once for all keys.
        places: The place of each key, from :func:`rank_keys`.
        mask: True for the keys that exist; the places of the others make no difference.
        shares: The shares of keys to remove, ascending; :func:`removal_shares` by default.

    Returns:
        The mean fall of the score; NaN for an example without keys.

    Example:
        >>> values, places = jnp.array([[3.0, 1.0]]), jnp.array([[0, 1]])
        >>> aopc(lambda keep: (keep * values).sum(-1), places, jnp.ones((1, 2), bool))
        Array([3.5], dtype=float32)

    References:
        W. Samek et al., "Evaluating the visualization of what a deep neural network has learned",
        2017, equation 12, https://arxiv.org/abs/1509.06321.
    """
    (places,), (counts, is_new) = sort_keys(places[None], mask), _counts(mask, shares)
    # Removing no key gives the whole score.
    counts = jnp.concatenate([jnp.zeros_like(counts[:1]), counts])
    scores = map_freed(lambda count: worth((places >= count[:, None]) & mask), counts)
    return mean_over_counts(scores[:1] - scores[1:], is_new)


@rng_by_keyword
def best_order(
    worth: Worth,
    mask: Bool[Array, "n k"],
    *,
    rng: PRNGKeyArray,
    candidates: Int[Array, "m n k"] | None = None,
    shares: tuple[float, ...] | None = None,
    runs: int | None = None,
) -> Int[Array, "n k"]:
    """Search for the order of removal in which the score falls fastest: the highest :func:`aopc`.

    For up to 8 keys, or as many as `runs` allows, all sets of keys are tried, and the order is the
    best there is. For more keys the search starts from the candidates and from three orders by the
    effect of single keys, takes the best for each example, and exchanges keys as long as runs are
    left. That order is never worse than a candidate, but nothing guarantees that it is the best:
    where only certain sets of three or more keys matter together, better ones exist.

    Args:
        worth: The score when only these keys keep their weight.
        mask: True for the keys that exist; the others come last.
        rng: Random key for the keys to exchange.
        candidates: Places of the keys to start from, for example by a map or by Shapley values.
        shares: The shares of keys whose removal counts; :func:`removal_shares` by default.
        runs: About how often `worth` may run; by default 256 times, or four times the number of
            keys if that is more. The candidates are always tried.

    Returns:
        The place of each key, counted from 0.

    Example:
        >>> values = jnp.array([[1.0, 3.0, -2.0]])
        >>> mask = jnp.ones((1, 3), bool)
        >>> best_order(lambda keep: (keep * values).sum(-1), mask, rng=jax.random.key(0))
        Array([[1, 0, 2]], dtype=int32)

    References:
        The best order as the end of the scale: J. Edin et al., "Normalized AOPC: Fixing Misleading
        Faithfulness Metrics for Feature Attribution Explainability", 2025,
        https://arxiv.org/abs/2408.08137.
    """
    _, keys = mask.shape
    runs = max(_RUNS, 4 * keys) if runs is None else runs
    counts, is_new = _counts(mask, shares)
    if 2**keys <= runs:
        return run_freed(functools.partial(try_all_sets, worth), mask, counts, is_new)
    none = jnp.zeros((0, *mask.shape), jnp.int32)
    candidates = none if candidates is None else sort_keys(candidates, mask)
    left = runs - len(candidates) * len(counts) - 2 * keys - 3 * len(counts)
    if left >= 0 or not len(candidates):
        candidates = jnp.concatenate([candidates, rank_by_single_keys(worth, mask)])
    search = functools.partial(exchange_keys, worth, mask, counts, is_new, swaps=max(left, 0))
    return run_freed(search, candidates, rng)


def normalized_aopc(
    values: Float[Array, "*b"], reference: Float[Array, "*b"], best: Float[Array, "*b"]
) -> Float[Array, "*b"]:
    """Return where an order stands between a reference and the best order.

    The raw numbers of two models cannot be compared, since the best order of the one may do what no
    order does in the other.

    Args:
        values: The :func:`aopc` of the order, of an example or its mean.
        reference: That of random orders, or of the worst.
        best: That of the best order.

    Returns:
        0 for an order like the reference, 1 for the best, negative for a worse one than the
        reference; NaN where the best is no better than the reference, since all orders are alike.

    Example:
        >>> normalized_aopc(jnp.array([0.5]), jnp.array([0.25]), jnp.array([0.75]))
        Array([0.5], dtype=float32)

    References:
        J. Edin et al., "Normalized AOPC", 2025, https://arxiv.org/abs/2408.08137, whose reference
        is the worst order.
    """
    room = best - reference
    return jnp.where(room > 0, (values - reference) / jnp.where(room > 0, room, 1), jnp.nan)


def _counts(mask: Array, shares: tuple[float, ...] | None) -> tuple[Array, Array]:
    """Return how many keys (s, n) to remove, and whether that is more than the number before."""
    _, keys = mask.shape
    shares = removal_shares(keys) if shares is None else shares
    exact = jnp.array(shares, jnp.float32)[:, None] * mask.sum(-1)[None]
    counts = jnp.ceil(exact - 1e-4).astype(jnp.int32)
    return counts, jnp.diff(counts, axis=0, prepend=0) > 0

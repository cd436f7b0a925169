"""Searches for the order of removal in which a score falls fastest."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from attn_jax.hooks.freed import map_freed
from attn_jax.measure.contributions import Worth, sort_keys


def mean_over_counts(scores: Float[Array, "s n"], is_new: Bool[Array, "s n"]) -> Float[Array, " n"]:
    """Return the mean over numbers of keys removed, each counted once.

    Args:
        scores: A score for each number of keys.
        is_new: Whether each number is more than the one before.
    """
    return jnp.where(is_new, scores, 0).sum(0) / is_new.sum(0)


def try_all_sets(
    worth: Worth, mask: Bool[Array, "n k"], counts: Int[Array, "s n"], is_new: Bool[Array, "s n"]
) -> Int[Array, "n k"]:
    """Find the best order as the shortest path from no key removed to all of them.

    Args:
        worth: The score when only these keys keep their weight; it runs once for each set of keys.
        mask: True for the keys that exist.
        counts: The numbers of keys removed whose scores count.
        is_new: Whether each is more than the one before.

    Returns:
        The place of each key.
    """
    _, keys = mask.shape
    sets = np.arange(2**keys)
    removed = sets[:, None] >> np.arange(keys) & 1 > 0
    with_one_more = sets[:, None] | 1 << np.arange(keys)
    is_full = jnp.array(sets == sets[-1])[:, None]
    gone = jnp.array(removed)[:, None]

    scores = jax.lax.map(lambda gone: worth(mask & ~gone), gone)
    counted = (is_new[None] & (counts[None] == gone.sum(-1, keepdims=True))).any(1)
    # A key that does not exist comes after all that do.
    too_early = (gone & ~mask[None]).any(-1) & (mask[None] & ~gone).any(-1)
    cost = jnp.where(too_early, jnp.inf, jnp.where(counted, scores, 0))

    def through(ahead: Array) -> Array:
        """Return the cost (sets, k, n) of removing each key next and the others at best."""
        return jnp.where(gone.swapaxes(1, 2), jnp.inf, (cost + ahead)[with_one_more])

    ahead = jnp.where(is_full, 0, jnp.full_like(cost, jnp.inf))
    for _ in range(keys):
        ahead = jnp.where(is_full, 0, through(ahead).min(1))
    choices, rows = through(ahead).argmin(1), jnp.arange(len(mask))
    at, places = jnp.zeros(len(mask), int), jnp.zeros(mask.shape, jnp.int32)
    for place in range(keys):
        key = choices[at, rows]
        places, at = places.at[rows, key].set(place), jnp.array(with_one_more)[at, key]
    return places


def rank_by_single_keys(worth: Worth, mask: Bool[Array, "n k"]) -> Int[Array, "3 n k"]:
    """Rank the keys by the score without each, by the score with each alone, and by both.

    Args:
        worth: The score when only these keys keep their weight; it runs twice for each key.
        mask: True for the keys that exist; the others come last.

    Returns:
        The places of the keys in three orders.
    """
    _, keys = mask.shape
    one = jnp.eye(keys, dtype=bool)[:, None] & mask[None]
    without, alone = jnp.split(map_freed(worth, jnp.concatenate([mask[None] ^ one, one])), 2)
    effects = jnp.stack([without, -alone, without - alone]).swapaxes(1, 2)
    return sort_keys(effects, mask)


def exchange_keys(
    worth: Worth,
    mask: Bool[Array, "n k"],
    counts: Int[Array, "s n"],
    is_new: Bool[Array, "s n"],
    candidates: Int[Array, "m n k"],
    rng: PRNGKeyArray,
    *,
    swaps: int,
) -> Int[Array, "n k"]:
    """Take the best candidate of each example, and exchange keys while the score falls faster.

    A swap of two keys on either side of one number of keys changes the score at this number alone,
    so that each trial takes a single run.

    Args:
        worth: The score when only these keys keep their weight; it runs once for each candidate
            and number of keys, and once for each swap.
        mask: True for the keys that exist.
        counts: The numbers of keys removed whose scores count, ascending.
        is_new: Whether each is more than the one before.
        candidates: Places of the keys to start from.
        rng: Random key for the keys to exchange.
        swaps: The number of swaps to try.

    Returns:
        The place of each key.
    """

    def without_first(places: Array, count: Array) -> Array:
        return worth((places >= count[:, None]) & mask)

    at = jnp.divmod(jnp.arange(len(candidates) * len(counts)), len(counts))
    scores = jax.lax.map(lambda at: without_first(candidates[at[0]], counts[at[1]]), at)
    scores = scores.reshape(len(candidates), *counts.shape)
    means = jax.vmap(mean_over_counts, (0, None))(scores, is_new)
    best, rows = means.argmin(0), jnp.arange(len(mask))
    ends = jnp.concatenate([jnp.zeros_like(counts[:1]), counts, mask.sum(-1)[None]])

    def swap(state: tuple[Array, Array], trial: tuple[Array, Array]) -> tuple[Any, None]:
        (places, scores), (which, rng) = state, trial
        before, count, after = ends[which], ends[which + 1], ends[which + 2]
        share = jax.random.uniform(rng, (2, len(mask)))
        first = before + (share[0] * (count - before)).astype(jnp.int32)
        second = count + (share[1] * (after - count)).astype(jnp.int32)
        swapped = jnp.where(places == first[:, None], second[:, None], places)
        swapped = jnp.where(places == second[:, None], first[:, None], swapped)
        score = without_first(swapped, count)
        # With no key on a side the swap would reach beyond the next number.
        is_better = (score < scores[which]) & (before < count) & (count < after)
        return (
            jnp.where(is_better[:, None], swapped, places),
            scores.at[which].set(jnp.where(is_better, score, scores[which])),
        ), None

    # Down the order and up again, so that a key can travel either way in one pass.
    there = jnp.arange(len(counts))
    which = jnp.resize(jnp.concatenate([there[::-1], there]), (swaps,))
    trials = (which, jax.random.split(rng, swaps))
    (places, _), _ = jax.lax.scan(swap, (candidates[best, rows], scores[best, :, rows].T), trials)
    return places

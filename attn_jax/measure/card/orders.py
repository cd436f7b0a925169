"""Removal of keys in some order: which keys remain at each step, and what the score loses."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from attn_jax.measure.erasure import FRACTIONS

FEW = 16
"""The number of keys up to which they are removed one at a time, and Shapley values computed."""


MANY = 256
"""The number of keys up to which they are ranked by comparing pairs."""


class Counts(NamedTuple):
    """How many keys are removed at each step.

    Attributes:
        counts: The numbers of keys, (m, n): none at first, and all of each example's at last.
        shares: The same as shares of the example's keys.
    """

    counts: Array
    shares: Array


def removal_counts(mask: Array, fractions: tuple[float, ...] = FRACTIONS) -> Counts:
    """Return the numbers of keys to remove: each one where there are few, else shares of them."""
    own, keys = mask.sum(-1), mask.shape[-1]
    if keys <= FEW:
        counts = jnp.minimum(jnp.arange(keys + 1)[:, None], own[None])
    else:
        counts = jnp.ceil(jnp.array(fractions)[:, None] * own[None] - 1e-6).astype(jnp.int32)
    return Counts(counts, counts / jnp.maximum(own, 1)[None])


def kept(places: Array, counts: Array, mask: Array) -> Array:
    """Return which keys remain, (orders, m, n, k), as the first in each order are removed.

    Args:
        places: The place of each key in each order, (orders, n, k).
        counts: How many are removed at each step, (m, n).
        mask: True for the keys that exist.
    """
    return (places[:, None] >= counts[None, :, :, None]) & mask[None, None]


def all_but_one(mask: Array) -> Array:
    """Return the keys without each one of them, (k, n, k)."""
    return mask[None] & ~jnp.eye(mask.shape[-1], dtype=bool)[:, None]


def ranked(values: Array, mask: Array, noise: Array) -> Array:
    """Return the places of keys by each of some maps, highest first, (maps, n, k).

    Keys are compared in pairs where they are few enough: a sort takes long to compile.

    Args:
        values: The maps, (maps, n, k).
        mask: True for the keys that exist; the others come last.
        noise: Random numbers that break ties, (n, k).
    """
    values = jnp.where(mask[None], values, -jnp.inf)
    if mask.shape[-1] > MANY:
        order = jnp.lexsort((jnp.broadcast_to(noise, values.shape), -values), axis=-1)
        return jnp.argsort(order, axis=-1).astype(jnp.int32)

    def place(values: Array) -> Array:
        first, second = values[..., None, :], noise[..., None, :]
        is_tied = first == values[..., None]
        before = (first > values[..., None]) | (is_tied & (second < noise[..., None]))
        return before.sum(-1).astype(jnp.int32)

    return jax.lax.map(place, values)


def with_reverses(orders: Array) -> Array:
    """Return orders, given by a number for each key, and their reverses."""
    return jnp.concatenate([orders, -orders])


def mean_fall(scores: Array) -> Array:
    """Return how much the score falls on average over the steps: the AOPC, (orders, n).

    Args:
        scores: The scores, (orders, m, n); with all keys at the first step.
    """
    return (scores[:, :1] - scores[:, 1:]).mean(1)


def marginal_contributions(scores: Array, places: Array) -> Array:
    """Return the mean fall of the score at each key's own removal: its Shapley value, (n, k).

    Args:
        scores: The scores, (orders, k + 1, n), as keys are removed one at a time.
        places: The place of each key in each order, (orders, n, k).
    """
    falls = jnp.moveaxis(scores[:, :-1] - scores[:, 1:], 1, -1)
    return jnp.take_along_axis(falls, places, -1).mean(0)


def area(curve: Array, shares: Array) -> Array:
    """Return the area under a curve, (n,), by the trapezoid rule.

    Args:
        curve: Its values, (m, n).
        shares: Their places between 0 and 1.
    """
    return ((curve[1:] + curve[:-1]) / 2 * jnp.diff(shares, axis=0)).sum(0)


def at_shares(curve: Array, counts: Array, shares: tuple[float, ...], mask: Array) -> Array:
    """Return the mean of a curve at some shares of the keys, rounded up, (n,)."""
    wanted = jnp.ceil(jnp.array(shares)[:, None] * mask.sum(-1)[None] - 1e-6)
    steps = jnp.abs(counts[None] - wanted[:, None]).argmin(1)
    return jnp.take_along_axis(curve, steps, 0).mean(0)

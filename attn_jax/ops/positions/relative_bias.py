"""Relative position bias (Raffel 2020, T5): a learned bias for each bucket of distances."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Real

from attn_jax.ops.masks import key_offsets


def t5_buckets(
    num_queries: int,
    num_keys: int,
    *,
    num_buckets: int = 32,
    max_distance: int = 128,
    causal: bool = False,
    query_offset: int | Int[Array, "*b"] = 0,
) -> Int[Array, "*b q k"]:
    """Assign each pair of query and key to a bucket by their distance.

    Half of the buckets hold one distance each. The other half grow logarithmically up to
    `max_distance`, and the last one holds all distances beyond it. Keys after the query have the
    second half of all buckets; if `causal` hides them, all buckets are for the keys before.

    Args:
        num_queries: q.
        num_keys: k.
        num_buckets: The number of buckets.
        max_distance: Distances beyond this share one bucket.
        causal: Whether keys after the query are hidden.
        query_offset: The position of the first query among the keys. It may be traced, and differ
            along batch axes.

    Returns:
        `(*b, q, k)`, from 0 to `num_buckets - 1`.

    Raises:
        ValueError: If there are too few buckets, or an odd number where two directions share them,
            or `max_distance` lies among the buckets of one distance each.

    Example:
        >>> t5_buckets(1, 6, causal=True, query_offset=5).tolist()
        [[5, 4, 3, 2, 1, 0]]
    """
    buckets = _one_sided(num_buckets, max_distance, causal)
    offsets = key_offsets(num_queries, num_keys, query_offset)
    if causal:
        return _distance_bucket(jnp.maximum(-offsets, 0), buckets, max_distance)
    return _distance_bucket(jnp.abs(offsets), buckets, max_distance) + buckets * (offsets > 0)


def t5_relative_bias(
    num_queries: int,
    num_keys: int,
    *,
    table: Real[Array, "n h"],
    max_distance: int = 128,
    causal: bool = False,
    query_offset: int | Int[Array, "*b"] = 0,
) -> Float[Array, "*b h q k"]:
    """Look up the bias of each head for each pair of query and key, by their distance.

    Pass it as `bias` to :func:`attn_jax.ops.attention`, and as `bias[None]` if there is a batch;
    T5 also sets `scale=1.0`.

    Args:
        num_queries: q.
        num_keys: k.
        table: A learned bias for each bucket of :func:`t5_buckets` and each head.
        max_distance: Distances beyond this share one bucket.
        causal: Whether keys after the query are hidden, so that they need no buckets.
        query_offset: The position of the first query among the keys. It may be traced, and differ
            along batch axes.

    Returns:
        `(*b, h, q, k)`.

    Raises:
        ValueError: If there are too few buckets, or an odd number where two directions share them,
            or `max_distance` lies among the buckets of one distance each.

    Example:
        >>> t5_relative_bias(3, 5, table=jnp.ones((32, 2))).shape
        (2, 3, 5)

    References:
        Raffel et al., "Exploring the Limits of Transfer Learning with a Unified Text-to-Text
        Transformer", 2020, section 2.1. https://arxiv.org/abs/1910.10683
    """
    buckets = t5_buckets(
        num_queries,
        num_keys,
        num_buckets=table.shape[0],
        max_distance=max_distance,
        causal=causal,
        query_offset=query_offset,
    )
    return jnp.moveaxis(table[buckets], -1, -3)


def _one_sided(num_buckets: int, max_distance: int, causal: bool) -> int:
    """Return the number of buckets in one direction."""
    if num_buckets < 2 or (not causal and num_buckets % 2) or num_buckets < (2 if causal else 4):
        least = "at least 2" if causal else "even and at least 4, as two directions share them"
        raise ValueError(f"num_buckets={num_buckets} must be {least}.")
    buckets = num_buckets if causal else num_buckets // 2
    if max_distance <= buckets // 2:
        raise ValueError(
            f"max_distance={max_distance} must exceed {buckets // 2}, the distances that have a "
            f"bucket each with num_buckets={num_buckets}."
        )
    return buckets


def _distance_bucket(distance: jax.Array, buckets: int, max_distance: int) -> jax.Array:
    exact = buckets // 2
    # T5's own order of operations, because rounding decides at the edges of buckets.
    ratio = jnp.log(jnp.maximum(distance, 1).astype(jnp.float32) / exact)
    far = exact + (ratio / math.log(max_distance / exact) * (buckets - exact)).astype(jnp.int32)
    return jnp.where(distance < exact, distance, jnp.minimum(far, buckets - 1))

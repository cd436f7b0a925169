"""Means over queries, leaving out padding."""

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float


def mean_over_queries(
    values: Float[Array, "*b q"], query_mask: Bool[Array, "... q"] | None = None
) -> Float[Array, "*b"]:
    """Return the mean over the queries that exist.

    Args:
        values: A number for each query.
        query_mask: True for the queries that exist, broadcastable to the values; all by default.

    Returns:
        One number for each map; under `jit`, 0 for a map without queries.

    Raises:
        ValueError: If the mask leaves a map without queries.

    Example:
        >>> mean_over_queries(jnp.array([1.0, 3.0, 9.0]), jnp.array([True, True, False]))
        Array(2., dtype=float32)
    """
    if query_mask is None:
        return values.mean(-1)
    check_query_mask(query_mask)
    return masked_mean(values, query_mask)


def masked_mean(values: Array, query_mask: Array) -> Array:
    """Return the mean where the mask is True; 0 where it never is."""
    mask = query_mask.reshape((1,) * (values.ndim - query_mask.ndim) + query_mask.shape)
    mask = jnp.broadcast_to(mask, values.shape)
    return jnp.where(mask, values, 0).sum(-1) / jnp.maximum(mask.sum(-1), 1)


def check_query_mask(mask: Array) -> None:
    """Refuse a mask that leaves a map without queries, where its values are known.

    Args:
        mask: True for the queries that exist, (..., q).

    Raises:
        ValueError: If all queries of a map are padding.
    """
    if isinstance(mask, Tracer):
        return
    empty = ~np.asarray(mask).any(-1)
    if empty.any():
        index = tuple(int(i) for i in np.argwhere(empty)[0])
        raise ValueError(
            f"query_mask leaves {empty.sum()} of {empty.size} maps without queries"
            f"{f', first {index}' if index else ''}; drop these examples."
        )

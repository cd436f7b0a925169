"""Means over the queries that are no padding."""

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float


def mean_over_queries(
    values: Float[Array, "*b q"], query_mask: Bool[Array, "... q"] | None = None
) -> Float[Array, "*b"]:
    """The mean over the queries that there are.

    Args:
        values: A number for each query.
        query_mask: Which are no padding, broadcastable to the values; all by default.

    Returns:
        One number for each map; under `jit`, 0 where there is no query.

    Raises:
        ValueError: If the mask leaves a map no query.

    Example:
        >>> mean_over_queries(jnp.array([1.0, 3.0, 9.0]), jnp.array([True, True, False]))
        Array(2., dtype=float32)
    """
    if query_mask is None:
        return values.mean(-1)
    check_query_mask(query_mask)
    return masked_mean(values, query_mask)


def masked_mean(values: Array, query_mask: Array) -> Array:
    """The mean where the mask holds; 0 where it holds nowhere."""
    mask = query_mask.reshape((1,) * (values.ndim - query_mask.ndim) + query_mask.shape)
    mask = jnp.broadcast_to(mask, values.shape)
    return jnp.where(mask, values, 0).sum(-1) / jnp.maximum(mask.sum(-1), 1)


def check_query_mask(mask: Array) -> None:
    """Refuses a mask, (..., q), that leaves a map no query, where its values are known.

    Args:
        mask: Which queries are no padding.

    Raises:
        ValueError: If all of one map's are padding.
    """
    if isinstance(mask, Tracer):
        return
    empty = ~np.asarray(mask).any(-1)
    if empty.any():
        index = tuple(int(i) for i in np.argwhere(empty)[0])
        raise ValueError(
            f"query_mask leaves {index or 'the map'} no query, and {empty.sum()} of {empty.size} "
            "in all; leave these examples out."
        )

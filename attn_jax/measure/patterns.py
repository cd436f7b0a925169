"""Patterns in single maps: their width, their distance, and the tokens they fall on."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from attn_jax.hooks import entropy
from attn_jax.measure.distributions import check_distributions
from attn_jax.measure.queries import check_query_mask, masked_mean, mean_over_queries


def effective_keys(weights: Float[Array, "*b q k"]) -> Float[Array, "*b q"]:
    """Return the number of keys over which uniform weights have the same entropy.

    Args:
        weights: Distributions over the keys.

    Returns:
        The exponential of the entropy, from 1 to k.

    Raises:
        ValueError: If rows are not distributions.

    Example:
        >>> effective_keys(jnp.array([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]])).round(4)
        Array([2., 1.], dtype=float32)
    """
    check_distributions(weights)
    return jnp.exp(entropy(weights))


def attention_distance(
    weights: Float[Array, "*b q k"], *, query_offset: int = 0
) -> Float[Array, "*b q"]:
    """Return the mean distance of the keys that each query attends to, in tokens.

    Args:
        weights: Distributions over the keys.
        query_offset: The position of the first query among the keys.

    Returns:
        The mean of `|query - key|`, weighted by the weights.

    Raises:
        ValueError: If rows are not distributions.

    Example:
        >>> attention_distance(jnp.array([[0.5, 0.0, 0.5], [0.0, 1.0, 0.0]]))
        Array([1., 0.], dtype=float32)
    """
    check_distributions(weights)
    queries, keys = weights.shape[-2:]
    offset = jnp.arange(keys)[None] - (jnp.arange(queries) + query_offset)[:, None]
    return (weights * jnp.abs(offset).reshape((1,) * (weights.ndim - 2) + offset.shape)).sum(-1)


def sink_mass(weights: Float[Array, "*b q k"], sinks: int = 1) -> Float[Array, "*b q"]:
    """Return the share of each query's attention that falls on the first keys.

    Args:
        weights: Distributions over the keys.
        sinks: The number of first keys that count as sinks.

    Returns:
        The share, from 0 to 1.

    Raises:
        ValueError: If there are fewer keys than sinks.

    Example:
        >>> sink_mass(jnp.array([[0.5, 0.25, 0.25]]), 2)
        Array([0.75], dtype=float32)

    References:
        Xiao et al., "Efficient Streaming Language Models with Attention Sinks", 2023, section 3.1,
        https://arxiv.org/abs/2309.17453.
    """
    if not 1 <= sinks <= weights.shape[-1]:
        raise ValueError(
            f"sinks={sinks} must be from 1 to the number of keys, {weights.shape[-1]}."
        )
    return weights[..., :sinks].sum(-1)


def offset_score(
    weights: Float[Array, "*b q k"],
    offset: int,
    query_mask: Bool[Array, "... q"] | None = None,
) -> Float[Array, "*b"]:
    """Return the mean weight on the key at a fixed offset from the query.

    Offset 0 is the diagonal, -1 the previous token, 1 the next one.

    Args:
        weights: Distributions over the keys.
        offset: The key's position minus the query's.
        query_mask: True for the queries that exist, broadcastable to `(*b, q)`.

    Returns:
        The mean, from 0 to 1, over the queries that have such a key; 0 if none has.

    Raises:
        ValueError: If the mask leaves a map without queries.

    Example:
        >>> weights = jnp.array([[1.0, 0.0], [0.75, 0.25]])
        >>> offset_score(weights, -1), offset_score(weights, 0)
        (Array(0.75, dtype=float32), Array(0.625, dtype=float32))

    References:
        Previous-token heads: Clark et al., "What Does BERT Look At?", 2019, section 3.1,
        https://arxiv.org/abs/1906.04341.
    """
    queries, keys = weights.shape[-2:]
    positions = jnp.arange(queries) + offset
    inside = (positions >= 0) & (positions < keys)
    index = jnp.clip(positions, 0, keys - 1).reshape((1,) * (weights.ndim - 2) + (queries, 1))
    index = jnp.broadcast_to(index, (*weights.shape[:-1], 1))
    shifted = jnp.take_along_axis(weights, index, -1)[..., 0]
    if query_mask is not None:
        check_query_mask(query_mask)
        inside = inside.reshape((1,) * (query_mask.ndim - 1) + (-1,)) & query_mask
    return masked_mean(shifted, inside)


def vertical_score(
    weights: Float[Array, "*b q k"], query_mask: Bool[Array, "... q"] | None = None
) -> Float[Array, "*b"]:
    """Return the mean weight on the key that receives most: 1 if all queries attend to it alone.

    Args:
        weights: Distributions over the keys.
        query_mask: True for the queries that exist, broadcastable to `(*b, q)`.

    Returns:
        The mean weight, from 0 to 1.

    Raises:
        ValueError: If the mask leaves a map without queries.

    Example:
        >>> vertical_score(jnp.array([[0.5, 0.5], [0.0, 1.0]]))
        Array(0.75, dtype=float32)
    """
    mask = None if query_mask is None else query_mask[..., None, :]
    return mean_over_queries(jnp.swapaxes(weights, -1, -2), mask).max(-1)


def positional_score(
    weights: Float[Array, "*b q k"], query_mask: Bool[Array, "... q"] | None = None
) -> tuple[Float[Array, "*b"], Int[Array, "*b"]]:
    """Return the share of queries whose top key is at the most common offset.

    Voita et al. call a head positional if the share is 90 % or more.

    Args:
        weights: Distributions over the keys.
        query_mask: True for the queries that exist, broadcastable to `(*b, q)`.

    Returns:
        The share, and that offset: the key's position minus the query's.

    Raises:
        ValueError: If the mask leaves a map without queries.

    Example:
        >>> score, offset = positional_score(jnp.eye(5)[:, ::-1][::-1] * 0.5)
        >>> float(score), int(offset)
        (1.0, 0)

    References:
        Voita et al., "Analyzing Multi-Head Self-Attention", 2019, section 5.1,
        https://arxiv.org/abs/1905.09418.
    """
    queries, keys = weights.shape[-2:]
    offset = weights.argmax(-1) - jnp.arange(queries).reshape((1,) * (weights.ndim - 2) + (-1,))
    bins = jnp.arange(1 - queries, keys)
    matches = offset[..., None, :] == bins.reshape((1,) * (weights.ndim - 2) + (-1, 1))
    mask = None if query_mask is None else query_mask[..., None, :]
    shares = mean_over_queries(matches.astype(jnp.float32), mask)
    return shares.max(-1), bins[shares.argmax(-1)]

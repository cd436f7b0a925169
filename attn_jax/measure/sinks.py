"""Attention sinks, and the massive activations that come with them."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attn_jax.measure.queries import mean_over_queries


def sink_rate(
    weights: Sequence[Float[Array, "*b _h q k"]],
    threshold: float = 0.3,
    query_mask: Bool[Array, "... q"] | None = None,
) -> Float[Array, "*b"]:
    """Return the share of heads that give the first key more than a threshold of their attention.

    A head counts if its weight on the first key, averaged over the queries, exceeds the threshold:
    `mean over layers and heads of 1(mean over i of A(i, 1) > ε)`. The rate depends on the number of
    tokens, so compare models on texts of one length; the paper takes 64 tokens and ε = 0.3.

    Args:
        weights: The weights of each layer, such as those of `layers.*.attention.weights`.
        threshold: ε, from 0 to 1.
        query_mask: True for the queries that exist, broadcastable to `(*b, heads, q)`.

    Returns:
        The share for each text; average over texts.

    Raises:
        ValueError: If there are no layers, the threshold is out of range, or the mask leaves a map
            without queries.

    Example:
        One of two heads is a sink:

        >>> layer = jnp.array([[[1.0, 0.0], [0.6, 0.4]], [[0.4, 0.6], [0.1, 0.9]]])
        >>> sink_rate([layer])
        Array(0.5, dtype=float32)

    References:
        Gu, Pang, Du, Liu, Zhang, Du, Wang and Lin, "When Attention Sink Emerges in Language Models:
        An Empirical View", 2024, https://arxiv.org/abs/2410.10781.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold={threshold} must be from 0 to 1, as weights are.")
    if not len(weights) or not all(layer.shape[-1] for layer in weights):
        raise ValueError(f"sink_rate needs keys in one layer or more, not {len(weights)} layers.")
    sinks = [mean_over_queries(layer[..., 0], query_mask) > threshold for layer in weights]
    return jnp.concatenate(sinks, axis=-1).mean(-1)


class MassiveActivations(NamedTuple):
    """Activations that are far larger than the others of their hidden states.

    Attributes:
        is_massive: Whether each activation is one of them.
        largest: The largest magnitude of each text.
        median: The median magnitude of each text.
    """

    is_massive: Bool[Array, "*b t d"]
    largest: Float[Array, "*b"]
    median: Float[Array, "*b"]


def massive_activations(
    states: Float[Array, "*b t d"],
    mask: Bool[Array, "*b t"] | None = None,
    *,
    least: float = 100.0,
    ratio: float = 1000.0,
) -> MassiveActivations:
    """Find the activations above 100 that are also 1,000 times larger than the median.

    They stand at few tokens, mostly the first, and in few features; where they do, later layers
    attend to that token. Look at `layers.*.residual_out`. The paper says "at least or around 1,000
    times", so a lower ratio is also in its sense; `largest / median` tells how far a text is from
    it.

    Args:
        states: The hidden states of one layer.
        mask: True for the tokens that exist; all by default.
        least: The magnitude that an activation must exceed.
        ratio: How many times the median magnitude, over tokens and features, it must reach.

    Returns:
        The places, and the largest and the median magnitude; NaN for a text without tokens.

    Example:
        >>> states = jnp.ones((4, 6)).at[0, 2].set(-2500.0)
        >>> result = massive_activations(states)
        >>> jnp.argwhere(result.is_massive).tolist(), float(result.largest / result.median)
        ([[0, 2]], 2500.0)

    References:
        Sun, Chen, Kolter and Liu, "Massive Activations in Large Language Models", 2024, section 2,
        https://arxiv.org/abs/2402.17762.
    """
    magnitudes = jnp.abs(states)
    if mask is not None:
        magnitudes = jnp.where(mask[..., None], magnitudes, jnp.nan)
    flat = magnitudes.reshape(*states.shape[:-2], -1)
    median, largest = jnp.nanmedian(flat, axis=-1), jnp.nanmax(flat, axis=-1)
    is_massive = (magnitudes > least) & (magnitudes >= ratio * median[..., None, None])
    return MassiveActivations(is_massive, largest, median)

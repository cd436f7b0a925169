"""Comparisons of heads with each other, and of a head with itself later in training."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from numpy.typing import ArrayLike, NDArray

from attn_jax.hooks import entropy
from attn_jax.measure.agreement import jensen_shannon
from attn_jax.measure.distributions import check_distributions
from attn_jax.measure.queries import mean_over_queries


def head_similarity(
    weights: Float[Array, "*b h q k"], query_mask: Bool[Array, "... q"] | None = None
) -> Float[Array, "*b h h"]:
    """Return one minus the Jensen-Shannon divergence of each pair of heads, averaged over queries.

    Args:
        weights: Distributions over the keys.
        query_mask: True for the queries that exist, broadcastable to `(*b, q)`.

    Returns:
        The similarity: 1 for identical heads, 0 for heads that never attend to the same keys.

    Raises:
        ValueError: If rows are not distributions, or the mask leaves a map without queries.

    Example:
        >>> weights = jnp.array([[[1.0, 0.0]], [[0.0, 1.0]], [[1.0, 0.0]]])
        >>> head_similarity(weights)[0]
        Array([1., 0., 1.], dtype=float32)

    References:
        Clark et al., "What Does BERT Look At?", 2019, section 6,
        https://arxiv.org/abs/1906.04341.
    """
    check_distributions(weights)
    pair = (*weights.shape[:-3], weights.shape[-3], *weights.shape[-3:])
    one = jnp.broadcast_to(weights[..., :, None, :, :], pair)
    other = jnp.broadcast_to(weights[..., None, :, :, :], pair)
    mask = None if query_mask is None else query_mask[..., None, None, :]
    return 1 - mean_over_queries(jensen_shannon(one, other), mask)


def cluster_heads(similarity: ArrayLike, clusters: int) -> NDArray[np.int_]:
    """Group similar heads by average linkage.

    Args:
        similarity: The similarity of each pair, (h, h): that of :func:`head_similarity`, averaged
            over examples.
        clusters: The largest number of groups.

    Returns:
        The group of each head, (h,). Groups are numbered from 0 by their first heads.

    Raises:
        ValueError: If the similarity is not square, or there are fewer heads than groups.

    Example:
        >>> cluster_heads([[1.0, 0.1, 0.9], [0.1, 1.0, 0.2], [0.9, 0.2, 1.0]], 2)
        array([0, 1, 0])
    """
    from scipy.cluster import hierarchy  # slow to import, and used only here
    from scipy.spatial import distance

    similarity = np.asarray(similarity, float)
    if similarity.ndim != 2 or similarity.shape[0] != similarity.shape[1]:
        raise ValueError(
            f"similarity has shape {similarity.shape}, but (h, h) is needed, one number for each "
            "pair of heads; average over the examples first."
        )
    if not 1 <= clusters <= len(similarity):
        raise ValueError(
            f"clusters={clusters} must be from 1 to the number of heads, {len(similarity)}."
        )
    if len(similarity) == 1:
        return np.zeros(1, int)
    divergence = 1 - (similarity + similarity.T) / 2
    np.fill_diagonal(divergence, 0)
    linkage = hierarchy.linkage(distance.squareform(divergence, checks=False), "average")
    labels = hierarchy.fcluster(linkage, clusters, "maxclust")
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


class Drift(NamedTuple):
    """The difference between the maps of two models on the same inputs.

    Attributes:
        divergence: The Jensen-Shannon divergence in bits, averaged over the queries.
        entropy: The change of the mean entropy in nats: after minus before.
    """

    divergence: Float[Array, "*b"]
    entropy: Float[Array, "*b"]


def drift(
    before: Float[Array, "*b q k"],
    after: Float[Array, "*b q k"],
    query_mask: Bool[Array, "... q"] | None = None,
) -> Drift:
    """Compare the attention of two checkpoints on the same inputs.

    Args:
        before: The weights of the earlier checkpoint.
        after: The weights of the later one.
        query_mask: True for the queries that exist, broadcastable to `(*b, q)`.

    Returns:
        The divergence and the change of entropy of each map.

    Raises:
        ValueError: If the shapes differ, rows are not distributions, or the mask leaves a map
            without queries.

    Example:
        >>> drift(jnp.array([[1.0, 0.0]]), jnp.array([[0.0, 1.0]]))
        Drift(divergence=Array(1., dtype=float32), entropy=Array(0., dtype=float32))
    """
    if before.shape != after.shape:
        raise ValueError(
            f"before has shape {before.shape}, but after has {after.shape}; capture both on the "
            "same inputs."
        )
    check_distributions(before, "before")
    check_distributions(after, "after")
    divergence = mean_over_queries(jensen_shannon(before, after), query_mask)
    return Drift(divergence, mean_over_queries(entropy(after) - entropy(before), query_mask))

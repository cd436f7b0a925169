"""Attention through several layers: attention rollout and attention flow."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import ArrayLike, NDArray

from attn_jax.measure.distributions import check_distributions

# SciPy takes integer capacities; at this scale 1,024 of them still add up within 32 bits.
_SCALE = 2**21


def rollout(
    weights: Float[Array, "layers *b h t t"] | Sequence[Float[Array, "*b h t t"]],
    *,
    residual: float = 0.5,
) -> Float[Array, "*b t t"]:
    r"""Return the attention rollout: the product of all layers' maps, mixed with the residual.

    .. math:: \tilde A_l = \operatorname{rows}((1 - r) \bar A_l + r I), \qquad
        R = \tilde A_L \cdots \tilde A_1

    with :math:`\bar A_l` the mean over the heads, and rows scaled to sum to one. A query that may
    attend to nothing, such as padding, attends to itself.

    Args:
        weights: The self-attention weights of each layer, the first layer first.
        residual: The share r of the residual connection.

    Returns:
        The share of each token of the last layer that comes from each token of the input.

    Raises:
        ValueError: If a layer is not self-attention, its rows are not distributions, or the
            residual share is out of range.

    Example:
        >>> first = jnp.array([[[0.5, 0.5], [0.0, 1.0]]])
        >>> second = jnp.array([[[1.0, 0.0], [1.0, 0.0]]])
        >>> rollout([first, second])
        Array([[0.75 , 0.25 ],
               [0.375, 0.625]], dtype=float32)

    References:
        Abnar and Zuidema, "Quantifying Attention Flow in Transformers", 2020, section 3,
        https://arxiv.org/abs/2005.00928.
    """
    layers = _check_layers(weights, residual)
    rolled = jnp.broadcast_to(jnp.eye(layers[0].shape[-1]), _one_head(layers[0]).shape)
    for layer in layers:
        rolled = jnp.matmul(_with_residual(layer, residual), rolled, precision="highest")
    return rolled


def flow(
    weights: NDArray | Array | Sequence[ArrayLike],
    *,
    residual: float = 0.5,
    queries: Sequence[int] | None = None,
) -> NDArray[np.float64]:
    """Return the attention flow: the maximum flow from tokens of the last layer to the input.

    The layers' maps, mixed with the residual as in :func:`rollout`, are the capacities of the edges
    from each token of a layer to those of the layer below. Each pair of tokens is a separate
    maximum-flow problem, solved by SciPy (Dinic) with capacities rounded to 2**-21.

    Args:
        weights: The self-attention weights of each layer, (h, t, t), the first layer first, for one
            example.
        residual: The share of the residual connection.
        queries: The tokens of the last layer to start from; all by default.

    Returns:
        The flows, (queries, t), from 0 to 1.

    Raises:
        ValueError: If a layer is not self-attention of one example, its rows are not distributions,
            the residual share is out of range, or a query does not exist.

    Example:
        >>> first = [[[0.5, 0.5], [0.0, 1.0]]]
        >>> second = [[[1.0, 0.0], [1.0, 0.0]]]
        >>> flow([first, second]).round(4)
        array([[0.75, 0.25],
               [0.5 , 0.75]])

    References:
        Abnar and Zuidema, "Quantifying Attention Flow in Transformers", 2020, section 3,
        https://arxiv.org/abs/2005.00928.
    """
    layers = _check_layers([jnp.asarray(layer, jnp.float32) for layer in weights], residual)
    if layers[0].ndim != 3:
        raise ValueError(
            f"a layer has shape {layers[0].shape}, but flow takes one example at a time, (h, t, t)."
        )
    mixed = [np.asarray(_with_residual(layer, residual), np.float64) for layer in layers]
    tokens = len(mixed[0])
    queries = range(tokens) if queries is None else queries
    for query in queries:
        if not 0 <= query < tokens:
            raise ValueError(f"queries contains {query}, but the tokens are 0 to {tokens - 1}.")
    return np.array([_flow_from(mixed, query) for query in queries])


def _flow_from(layers: Sequence[NDArray], query: int) -> NDArray[np.float64]:
    """Return the flow from one token of the last layer to each token of the input."""
    from scipy.sparse import coo_array  # slow to import, and used only here
    from scipy.sparse.csgraph import maximum_flow

    tokens = len(layers[0])
    if len(layers) == 1:
        return layers[0][query]
    # The nodes are the input tokens, then those of each layer; the last layer has only the query.
    last = np.zeros_like(layers[-1])
    last[query] = layers[-1][query]
    rows, columns, capacities = [], [], []
    for number, layer in enumerate([*layers[:-1], last]):
        upper, lower = np.nonzero(layer * _SCALE >= 0.5)
        rows.append(upper + (number + 1) * tokens)
        columns.append(lower + number * tokens)
        capacities.append(np.rint(layer[upper, lower] * _SCALE))
    size = (len(layers) + 1) * tokens
    entries = np.concatenate(capacities).astype(np.int32)
    edges = np.concatenate(rows), np.concatenate(columns)
    graph = coo_array((entries, edges), shape=(size, size)).tocsr()
    source = len(layers) * tokens + query
    return np.array([maximum_flow(graph, source, k).flow_value for k in range(tokens)]) / _SCALE


def _with_residual(layer: Array, residual: float) -> Array:
    mixed = (1 - residual) * _one_head(layer)
    mixed = mixed + residual * jnp.broadcast_to(jnp.eye(mixed.shape[-1]), mixed.shape)
    total = mixed.sum(-1, keepdims=True)
    return mixed / jnp.where(total == 0, 1, total)


def _one_head(layer: Array) -> Array:
    return layer.astype(jnp.float32).mean(-3)


def _check_layers(weights: jax.Array | Sequence[jax.Array], residual: float) -> list[jax.Array]:
    if not 0 <= residual < 1:
        raise ValueError(f"residual={residual} must be at least 0 and below 1.")
    layers = list(weights)
    shapes = [layer.shape for layer in layers]
    if not layers or len(set(shapes)) > 1 or len(shapes[0]) < 3 or shapes[0][-1] != shapes[0][-2]:
        raise ValueError(
            f"the layers have shapes {shapes}; pass one or more layers of self-attention over the "
            "same tokens, (..., h, t, t)."
        )
    for number, layer in enumerate(layers):
        check_distributions(layer, f"layer {number}")
    return layers

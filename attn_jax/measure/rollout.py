"""Where information came from through several layers: attention rollout and attention flow."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import maximum_flow

from attn_jax.measure.distributions import check_distributions

# Capacities are integers to scipy: at this scale 1,024 of them still add up within 32 bits.
_SCALE = 2**21


def rollout(
    weights: Float[Array, "layers *b h t t"] | Sequence[Float[Array, "*b h t t"]],
    *,
    residual: float = 0.5,
) -> Float[Array, "*b t t"]:
    r"""Attention rollout: the product of all layers' maps, each mixed with the residual.

    .. math:: \tilde A_l = \operatorname{rows}((1 - r) \bar A_l + r I), \qquad
        R = \tilde A_L \cdots \tilde A_1

    with :math:`\bar A_l` the mean over the heads, and rows scaled to sum to one. A query that may
    attend to nothing, as padding, keeps to itself.

    Args:
        weights: Of each layer of self-attention, the first layer first.
        residual: r, the share of the residual connection.

    Returns:
        How much each token of the last layer comes from each of the input.

    Raises:
        ValueError: If a layer is no self-attention, its rows are no distributions, or the share
            is none.

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
    """Attention flow: the most that can flow from a token of the last layer to one of the input.

    The layers' maps, mixed with the residual as for :func:`rollout`, are the capacities of pipes
    from each token of a layer to those of the layer below. Each pair of tokens is a maximum flow
    problem of its own, solved by SciPy (Dinic) with capacities rounded to 2**-21.

    Args:
        weights: (h, t, t) of each layer of self-attention, the first layer first, of one example.
        residual: The share of the residual connection.
        queries: Which tokens of the last layer to ask about; all by default.

    Returns:
        (queries, t), each from 0 to 1.

    Raises:
        ValueError: If a layer is no self-attention of one example, its rows are no distributions,
            the share is none, or a query is none.

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
            f"a layer has shape {layers[0].shape}; flow takes (h, t, t) of one example at a time."
        )
    mixed = [np.asarray(_with_residual(layer, residual), np.float64) for layer in layers]
    tokens = len(mixed[0])
    asked = range(tokens) if queries is None else queries
    for query in asked:
        if not 0 <= query < tokens:
            raise ValueError(f"queries names {query}, but there are tokens 0 to {tokens - 1}.")
    return np.array([_flow_from(mixed, query) for query in asked])


def _flow_from(layers: Sequence[NDArray], query: int) -> NDArray[np.float64]:
    """The flow from one token of the last layer to each of the input."""
    tokens = len(layers[0])
    if len(layers) == 1:
        return layers[0][query]
    # Nodes: the tokens of the input, then those of each layer; of the last layer the query alone.
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
    at = np.concatenate(rows), np.concatenate(columns)
    graph = coo_array((entries, at), shape=(size, size)).tocsr()
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
        raise ValueError(f"residual={residual} must be a share, at least 0 and below 1.")
    layers = list(weights)
    shapes = [layer.shape for layer in layers]
    if not layers or len(set(shapes)) > 1 or len(shapes[0]) < 3 or shapes[0][-1] != shapes[0][-2]:
        raise ValueError(
            f"layers have shapes {shapes}; one or more layers of self-attention, (..., h, t, t) of "
            "the same tokens, are needed."
        )
    for number, layer in enumerate(layers):
        check_distributions(layer, f"layer {number}")
    return layers

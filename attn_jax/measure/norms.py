"""Norms of weighted values: attention weights together with the vectors that they weigh."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


def value_norms(
    weights: Float[Array, "*b h q k"],
    value: Float[Array, "*b k h d"],
    w_out: Float[Array, "h d m"],
) -> Float[Array, "*b h q k"]:
    r"""Return the norm of each key's contribution to each query: :math:`\|\alpha_{qk} f(x_k)\|`.

    :math:`f(x) = v(x) W^O` is the value after the head's part of the output projection. A large
    weight on a short vector contributes little.

    Args:
        weights: Distributions over the keys.
        value: The values of each head.
        w_out: The output projection, by head.

    Returns:
        The norms, for each head.

    Example:
        >>> weights = jnp.array([[[0.9, 0.1]]])
        >>> value = jnp.array([[[0.1, 0.0]], [[3.0, 4.0]]])
        >>> value_norms(weights, value, jnp.eye(2)[None]).round(2)
        Array([[[0.09, 0.5 ]]], dtype=float32)

    References:
        Kobayashi et al., "Attention is Not Only a Weight", 2020, section 3,
        https://arxiv.org/abs/2004.10102.
    """
    projected = jnp.einsum("...khd,hdm->...hkm", value, w_out, precision="highest")
    return weights * jnp.linalg.norm(projected, axis=-1)[..., None, :]


class BlockNorms(NamedTuple):
    """The contributions of tokens to the outputs of an attention block.

    Attributes:
        norms: The norm of each token's contribution to each output.
        mixing: The share of an output that comes from other tokens; 0 if all is the token's own.
    """

    norms: Float[Array, "*b t t"]
    mixing: Float[Array, "*b t"]


def block_norms(
    weights: Float[Array, "*b h t t"],
    value: Float[Array, "*b t h d"],
    w_out: Float[Array, "h d m"],
    residual: Float[Array, "*b t m"] | None = None,
    *,
    scale: Float[Array, " m"] | None = None,
    bias: Float[Array, " m"] | None = None,
    epsilon: float = 1e-6,
) -> BlockNorms:
    r"""Return the norms of contributions through all heads, the residual and layer normalization.

    A token's output is a sum of vectors, one from each token; the residual adds one more from the
    token itself. Layer normalization with the statistics of the whole sum,
    :math:`g(y) = (y - \bar y) / s(\Sigma) \odot \gamma`, is linear in each of them.

    Args:
        weights: The weights of self-attention.
        value: The values of each head.
        w_out: The output projection, by head.
        residual: The block's input, if it has a residual connection.
        scale: The γ of a layer normalization after the sum (post-norm); None without one.
        bias: The bias of the output projection; it enters only the statistics.
        epsilon: The ε of the layer normalization.

    Returns:
        The norms, and the mixing ratio: the norm of the contribution of the other tokens, divided
        by the sum of that norm and the norm of the token's own.

    References:
        Kobayashi et al., "Incorporating Residual and Normalization Layers into Analysis of Masked
        Language Models", 2021, sections 3 and 4, https://arxiv.org/abs/2109.07152.
    """
    parts = jnp.einsum("...hqk,...khd,hdm->...qkm", weights, value, w_out, precision="highest")
    tokens = weights.shape[-1]
    diagonal = jnp.eye(tokens).reshape((1,) * (parts.ndim - 3) + (tokens, tokens, 1))
    if residual is not None:
        parts = parts + diagonal * residual[..., :, None, :]
    if scale is not None:
        # The statistics are those of the block's output, which includes the bias.
        total = parts.sum(-2)
        if bias is not None:
            total = total + bias.reshape((1,) * (total.ndim - 1) + (-1,))
        deviation = jnp.sqrt(total.var(-1) + epsilon)[..., None, None]
        gamma = scale.reshape((1,) * (parts.ndim - 1) + (-1,))
        parts = (parts - parts.mean(-1, keepdims=True)) / deviation * gamma
    own = (diagonal * parts).sum(-2)
    others = jnp.linalg.norm(parts.sum(-2) - own, axis=-1)
    both = others + jnp.linalg.norm(own, axis=-1)
    return BlockNorms(jnp.linalg.norm(parts, axis=-1), others / jnp.where(both == 0, 1, both))

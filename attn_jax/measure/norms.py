"""Attention weights with what they weigh: the norms of the vectors that arrive."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


def value_norms(
    weights: Float[Array, "*b h q k"],
    value: Float[Array, "*b k h d"],
    w_out: Float[Array, "h d m"],
) -> Float[Array, "*b h q k"]:
    r"""The norm of what each key sends to each query: :math:`\|\alpha_{qk} f(x_k)\|`.

    :math:`f(x) = v(x) W^O` is the value after the head's part of the output projection. A large
    weight on a short vector brings little.

    Args:
        weights: Distributions over the keys.
        value: Of each head.
        w_out: The output projection, by head.

    Returns:
        For each head.

    Example:
        >>> weights = jnp.array([[[0.9, 0.1]]])
        >>> value = jnp.array([[[0.1, 0.0]], [[3.0, 4.0]]])
        >>> value_norms(weights, value, jnp.eye(2)[None]).round(2)
        Array([[[0.09, 0.5 ]]], dtype=float32)

    References:
        Kobayashi et al., "Attention is Not Only a Weight", 2020, section 3,
        https://arxiv.org/abs/2004.10102.
    """
    sent = jnp.einsum("...khd,hdm->...hkm", value, w_out, precision="highest")
    return weights * jnp.linalg.norm(sent, axis=-1)[..., None, :]


class BlockNorms(NamedTuple):
    """What of a block of attention, residual and normalisation comes from where.

    Attributes:
        norms: The norm of what comes from each token.
        mixing: How much of the output is from other tokens: 0 if all of it is the token's own.
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
    r"""The norms of what arrives through all heads, the residual and the layer normalisation.

    A token's output is a sum of vectors, one from each token; the residual is one more from
    itself. Layer normalisation with the statistics of the whole sum,
    :math:`g(y) = (y - \bar y) / s(\Sigma) \odot \gamma`, is linear in each of them.

    Args:
        weights: Of self-attention.
        value: Of each head.
        w_out: The output projection, by head.
        residual: The block's input, where it has a residual connection.
        scale: γ of a layer normalisation after the sum (post-norm); None without one.
        bias: Of the output projection; it counts for the statistics alone.
        epsilon: Of the normalisation.

    Returns:
        The norms, and the mixing ratio: what comes from the others over that and what comes from
        the token itself.

    References:
        Kobayashi et al., "Incorporating Residual and Normalization Layers into Analysis of Masked
        Language Models", 2021, sections 3 and 4, https://arxiv.org/abs/2109.07152.
    """
    sent = jnp.einsum("...hqk,...khd,hdm->...qkm", weights, value, w_out, precision="highest")
    tokens = weights.shape[-1]
    itself = jnp.eye(tokens).reshape((1,) * (sent.ndim - 3) + (tokens, tokens, 1))
    if residual is not None:
        sent = sent + itself * residual[..., :, None, :]
    if scale is not None:
        whole = sent.sum(-2)
        if bias is not None:
            whole = whole + bias.reshape((1,) * (whole.ndim - 1) + (-1,))
        spread = jnp.sqrt(whole.var(-1) + epsilon)[..., None, None]
        gamma = scale.reshape((1,) * (sent.ndim - 1) + (-1,))
        sent = (sent - sent.mean(-1, keepdims=True)) / spread * gamma
    own = (itself * sent).sum(-2)
    others = jnp.linalg.norm(sent.sum(-2) - own, axis=-1)
    both = others + jnp.linalg.norm(own, axis=-1)
    return BlockNorms(jnp.linalg.norm(sent, axis=-1), others / jnp.where(both == 0, 1, both))

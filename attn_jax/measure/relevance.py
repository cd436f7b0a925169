"""Gradient-weighted relevance through layers: attention where it contributed to the output."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from attn_jax.hooks import activation_grads, capture

matmul = functools.partial(jnp.matmul, precision="highest")


def attention_gradients(
    fn: Callable[..., Array], spec: str | Sequence[str] = "*.weights"
) -> Callable[..., tuple[dict[str, Array], dict[str, Array]]]:
    """Return a function to attention weights and a scalar's gradients with respect to them.

    Args:
        fn: A function to a scalar, such as a logit summed over a batch.
        spec: The hook points of the weights.

    Returns:
        A function from the arguments of `fn` to the weights and the gradients, both by name.

    Example:
        >>> from attn_jax import hooks
        >>> def fn(x):
        ...     return (hooks.tap("look.weights", x) * jnp.array([2.0, 3.0])).sum()
        >>> attention_gradients(fn)(jnp.array([0.25, 0.75]))[1]
        {'look.weights': Array([2., 3.], dtype=float32)}
    """

    @functools.wraps(fn)
    def both(*args: Any, **kwargs: Any) -> tuple[dict[str, Array], dict[str, Array]]:
        _, weights = capture(fn, spec)(*args, **kwargs)
        return weights, activation_grads(fn, spec)(*args, **kwargs)

    return both


def gradient_attention(
    weights: Float[Array, "*b h q k"], gradients: Float[Array, "*b h q k"]
) -> Float[Array, "*b q k"]:
    r"""Return the attention that contributed to the output: :math:`E_h[(\nabla A \odot A)^+]`.

    Args:
        weights: The weights of one layer.
        gradients: The gradients of the explained scalar with respect to them.

    Returns:
        The mean over the heads of the positive parts of gradient times weight.

    Example:
        >>> gradient_attention(jnp.array([[[0.5, 0.5]]]), jnp.array([[[4.0, -4.0]]]))
        Array([[2., 0.]], dtype=float32)

    References:
        Chefer, Gur and Wolf, "Generic Attention-model Explainability", 2021, equation 5,
        https://arxiv.org/abs/2103.15679.
    """
    return jnp.maximum(weights * gradients, 0).mean(-3)


def self_relevance(
    weights: Sequence[Float[Array, "*b h t t"]] | Float[Array, "layers *b h t t"],
    gradients: Sequence[Float[Array, "*b h t t"]] | Float[Array, "layers *b h t t"],
) -> Float[Array, "*b t t"]:
    r"""Return the relevance of each token to each other through layers of self-attention.

    .. math:: R \leftarrow R + \bar A_l R, \qquad R_0 = I

    Args:
        weights: The weights of each layer, the first layer first.
        gradients: The gradients of the explained scalar with respect to them.

    Returns:
        The relevance. The row of the token that the output is read from, such as a class token,
        explains the output.

    Raises:
        ValueError: If the shapes of weights and gradients differ, or there are none.

    Example:
        >>> weights = jnp.array([[[[0.5, 0.5], [1.0, 0.0]]]])
        >>> self_relevance(weights, jnp.ones((1, 1, 2, 2)))
        Array([[1.5, 0.5],
               [1. , 1. ]], dtype=float32)

    References:
        Chefer, Gur and Wolf, 2021, equations 5 and 6, https://arxiv.org/abs/2103.15679.
    """
    steps = _paired(weights, gradients)
    relevance = _identity(steps[0])
    for step in steps:
        relevance = relevance + matmul(step, relevance)
    return relevance


def cross_relevance(
    self_weights: Sequence[Float[Array, "*b h t t"]] | Float[Array, "layers *b h t t"],
    self_gradients: Sequence[Float[Array, "*b h t t"]] | Float[Array, "layers *b h t t"],
    cross_weights: Sequence[Float[Array, "*b h t s"]] | Float[Array, "layers *b h t s"],
    cross_gradients: Sequence[Float[Array, "*b h t s"]] | Float[Array, "layers *b h t s"],
    source: Float[Array, "*b s s"],
) -> tuple[Float[Array, "*b t t"], Float[Array, "*b t s"]]:
    r"""Return relevance through decoder layers of self-attention followed by cross-attention.

    .. math:: R^{tt} \leftarrow R^{tt} + \bar A R^{tt}, \quad R^{ts} \leftarrow R^{ts} + \bar A
        R^{ts}

    at a self-attention, and at a cross-attention

    .. math:: R^{ts} \leftarrow R^{ts} + (\bar R^{tt})^\top \bar A \bar R^{ss}

    where a bar over R scales the part beyond the identity to rows that sum to one.

    Args:
        self_weights: The self-attention weights of each layer, the first layer first.
        self_gradients: The gradients of the explained scalar with respect to them.
        cross_weights: The cross-attention weights of each layer.
        cross_gradients: The gradients of the explained scalar with respect to them.
        source: The relevance within the encoder, from :func:`self_relevance`.

    Returns:
        The relevance of each target token to each other, and of each source token to each target
        token.

    Raises:
        ValueError: If the numbers of layers or the shapes differ.

    References:
        Chefer, Gur and Wolf, 2021, equations 5 to 10, https://arxiv.org/abs/2103.15679.
    """
    selfs, crosses = (
        _paired(self_weights, self_gradients),
        _paired(cross_weights, cross_gradients),
    )
    if len(selfs) != len(crosses):
        raise ValueError(
            f"there are {len(selfs)} layers of self-attention and {len(crosses)} of "
            "cross-attention; pass one of each for each layer."
        )
    own, other = _identity(selfs[0]), jnp.zeros(crosses[0].shape)
    for inner, cross in zip(selfs, crosses, strict=True):
        own, other = own + matmul(inner, own), other + matmul(inner, other)
        mixed = matmul(cross, scaled_rows(source))
        other = other + matmul(jnp.swapaxes(scaled_rows(own), -1, -2), mixed)
    return own, other


def scaled_rows(relevance: Array) -> Array:
    """Scale the part beyond the identity to rows that sum to one."""
    identity = _identity(relevance)
    beyond = relevance - identity
    total = beyond.sum(-1, keepdims=True)
    return beyond / jnp.where(total == 0, 1, total) + identity


def _identity(like: Array) -> Array:
    return jnp.broadcast_to(jnp.eye(like.shape[-2]), (*like.shape[:-1], like.shape[-2]))


def _paired(weights: Sequence[Array] | Array, gradients: Sequence[Array] | Array) -> list[Array]:
    shapes = [[x.shape for x in side] for side in (weights, gradients)]
    if shapes[0] != shapes[1] or not shapes[0]:
        raise ValueError(
            f"weights have shapes {shapes[0]}, but gradients {shapes[1]}; pass one gradient for "
            "each layer's weights, as attention_gradients returns them."
        )
    return [gradient_attention(w, g) for w, g in zip(weights, gradients, strict=True)]

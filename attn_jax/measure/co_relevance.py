"""Gradient-weighted relevance between two inputs that attend to each other."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from attn_jax.measure.relevance import matmul, scaled_rows


class CoLayer(NamedTuple):
    """The attentions of one layer, each from :func:`gradient_attention`; None for those it lacks.

    Attributes:
        one_other: Attention from the tokens of the one input to those of the other.
        other_one: Attention from the tokens of the other input to those of the one.
        one: Self-attention of the one input, after both.
        other: Self-attention of the other input, after both.
    """

    one_other: Float[Array, "*b t s"] | None = None
    other_one: Float[Array, "*b s t"] | None = None
    one: Float[Array, "*b t t"] | None = None
    other: Float[Array, "*b s s"] | None = None


class CoRelevance(NamedTuple):
    """Relevance within two inputs and between them.

    Attributes:
        one: Relevance of the one input's tokens to each other.
        other: Relevance of the other input's tokens to each other.
        one_other: Relevance of the other input's tokens to each token of the one.
        other_one: Relevance of the one input's tokens to each token of the other.
    """

    one: Float[Array, "*b t t"]
    other: Float[Array, "*b s s"]
    one_other: Float[Array, "*b t s"]
    other_one: Float[Array, "*b s t"]


def co_relevance(
    layers: Sequence[CoLayer], one: Float[Array, "*b t t"], other: Float[Array, "*b s s"]
) -> CoRelevance:
    r"""Return relevance through layers where two inputs attend to each other, as in LXMERT.

    When the tokens :math:`s` of one input attend to the tokens :math:`q` of the other,

    .. math:: R^{sq} \leftarrow R^{sq} + (\bar R^{ss})^\top \bar A \bar R^{qq}, \quad
        R^{ss} \leftarrow R^{ss} + \bar A R^{qs}

    and when both inputs attend to each other, both steps start from the same relevance. Then, at a
    self-attention,

    .. math:: R^{sq} \leftarrow R^{sq} + \bar A R^{sq}, \quad
        R^{ss} \leftarrow R^{ss} + \bar A R^{ss}

    Write a layer whose self-attention comes first as two layers: one with `one` and `other`, then
    one with `one_other` and `other_one`.

    Args:
        layers: The layers, the first one first.
        one: Relevance within the one input before these layers, from :func:`self_relevance`.
        other: Relevance within the other input before these layers.

    Returns:
        All four relevances. The row of the token that the output is read from explains the output.

    Raises:
        ValueError: If the shape of an attention does not fit the inputs.

    Example:
        >>> half, whole = jnp.array([[0.5]]), jnp.array([[1.0]])
        >>> layers = [CoLayer(one_other=half), CoLayer(other_one=half)]
        >>> [x.item() for x in co_relevance(layers, whole, whole)]
        [1.0, 1.25, 0.5, 0.5]

    References:
        Chefer, Gur and Wolf, 2021, equations 5 to 11, https://arxiv.org/abs/2103.15679.
    """
    t, s, batch = one.shape[-1], other.shape[-1], one.shape[:-2]
    between = jnp.zeros((*batch, t, s)), jnp.zeros((*batch, s, t))
    relevance = CoRelevance(one, other, *between)
    expected = [x.shape for x in (*between, one, other)]
    for number, layer in enumerate(layers):
        for name, step, shape in zip(CoLayer._fields, layer, expected, strict=True):
            if step is not None and step.shape != shape:
                raise ValueError(
                    f"{name} of layer {number} has shape {step.shape}, but {shape} is needed for "
                    f"inputs with relevances of shapes {one.shape} and {other.shape}."
                )
        relevance = _within(_across(relevance, layer), layer)
    return relevance


def _across(before: CoRelevance, layer: CoLayer) -> CoRelevance:
    """Apply the attentions between the inputs, both from the same relevance."""
    one, other, one_other, other_one = before
    if (step := layer.one_other) is not None:
        one = one + matmul(step, before.other_one)
        one_other = one_other + _through(before.one, step, before.other)
    if (step := layer.other_one) is not None:
        other = other + matmul(step, before.one_other)
        other_one = other_one + _through(before.other, step, before.one)
    return CoRelevance(one, other, one_other, other_one)


def _through(own: Array, step: Array, other: Array) -> Array:
    return matmul(jnp.swapaxes(scaled_rows(own), -1, -2), matmul(step, scaled_rows(other)))


def _within(before: CoRelevance, layer: CoLayer) -> CoRelevance:
    """Apply the self-attention of each input."""
    one, other, one_other, other_one = before
    if (step := layer.one) is not None:
        one, one_other = one + matmul(step, one), one_other + matmul(step, one_other)
    if (step := layer.other) is not None:
        other, other_one = other + matmul(step, other), other_one + matmul(step, other_one)
    return CoRelevance(one, other, one_other, other_one)

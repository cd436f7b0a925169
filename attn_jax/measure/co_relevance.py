"""Relevance by gradients where two inputs attend to each other."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from attn_jax.measure.relevance import matmul, scaled_rows


class CoLayer(NamedTuple):
    """Attentions of one layer, each as :func:`gradient_attention` gives it; None where it has none.

    Attributes:
        one_other: From the tokens of one input to those of the other.
        other_one: From those of the other to those of the one.
        one: Self-attention of the one, after both.
        other: Self-attention of the other.
    """

    one_other: Float[Array, "*b t s"] | None = None
    other_one: Float[Array, "*b s t"] | None = None
    one: Float[Array, "*b t t"] | None = None
    other: Float[Array, "*b s s"] | None = None


class CoRelevance(NamedTuple):
    """Relevance within two inputs and between them.

    Attributes:
        one: Of the one's tokens to each of its own.
        other: Of the other's tokens to each of its own.
        one_other: To each token of the one, of the other's.
        other_one: To each token of the other, of the one's.
    """

    one: Float[Array, "*b t t"]
    other: Float[Array, "*b s s"]
    one_other: Float[Array, "*b t s"]
    other_one: Float[Array, "*b s t"]


def co_relevance(
    layers: Sequence[CoLayer], one: Float[Array, "*b t t"], other: Float[Array, "*b s s"]
) -> CoRelevance:
    r"""Relevance through layers where two inputs attend to each other, as in LXMERT.

    Where the tokens :math:`s` of one input attend to the tokens :math:`q` of the other,

    .. math:: R^{sq} \leftarrow R^{sq} + (\bar R^{ss})^\top \bar A \bar R^{qq}, \quad
        R^{ss} \leftarrow R^{ss} + \bar A R^{qs}

    and where they attend to each other, both steps start from the same relevance. Then, at a
    self-attention,

    .. math:: R^{sq} \leftarrow R^{sq} + \bar A R^{sq}, \quad
        R^{ss} \leftarrow R^{ss} + \bar A R^{ss}

    A layer that has its self-attention first is two: one of `one` and `other`, then one of
    `one_other` and `other_one`.

    Args:
        layers: The first layer first.
        one: Relevance within the one input before them, from :func:`self_relevance`.
        other: That within the other.

    Returns:
        All four relevances; the row of the token that the output is read from explains it.

    Raises:
        ValueError: If an attention does not fit the inputs.

    Example:
        >>> half, whole = jnp.array([[0.5]]), jnp.array([[1.0]])
        >>> found = co_relevance([CoLayer(one_other=half), CoLayer(other_one=half)], whole, whole)
        >>> [x.item() for x in found]
        [1.0, 1.25, 0.5, 0.5]

    References:
        Chefer, Gur and Wolf, 2021, equations 5 to 11, https://arxiv.org/abs/2103.15679.
    """
    t, s, batch = one.shape[-1], other.shape[-1], one.shape[:-2]
    between = jnp.zeros((*batch, t, s)), jnp.zeros((*batch, s, t))
    found = CoRelevance(one, other, *between)
    expected = [x.shape for x in (*between, one, other)]
    for number, layer in enumerate(layers):
        for name, step, shape in zip(CoLayer._fields, layer, expected, strict=True):
            if step is not None and step.shape != shape:
                raise ValueError(
                    f"{name} of layer {number} has shape {step.shape}, but {shape} is needed "
                    f"between inputs of relevance {one.shape} and {other.shape}."
                )
        found = _within(_across(found, layer), layer)
    return found


def _across(found: CoRelevance, layer: CoLayer) -> CoRelevance:
    one, other, one_other, other_one = found
    if (step := layer.one_other) is not None:
        one = one + matmul(step, found.other_one)
        one_other = one_other + _through(found.one, step, found.other)
    if (step := layer.other_one) is not None:
        other = other + matmul(step, found.one_other)
        other_one = other_one + _through(found.other, step, found.one)
    return CoRelevance(one, other, one_other, other_one)


def _through(own: Array, step: Array, other: Array) -> Array:
    return matmul(jnp.swapaxes(scaled_rows(own), -1, -2), matmul(step, scaled_rows(other)))


def _within(found: CoRelevance, layer: CoLayer) -> CoRelevance:
    one, other, one_other, other_one = found
    if (step := layer.one) is not None:
        one, one_other = one + matmul(step, one), one_other + matmul(step, one_other)
    if (step := layer.other) is not None:
        other, other_one = other + matmul(step, other), other_one + matmul(step, other_one)
    return CoRelevance(one, other, one_other, other_one)

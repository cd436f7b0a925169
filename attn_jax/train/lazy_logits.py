"""Logits over a large vocabulary, which a loss takes a few tokens at a time."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

Terms = Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, Any]]
"""From logits `(m, v)`, targets and weights `(m,)` of any m tokens to what is to be summed and what
is reported: scalars, which are summed too, and arrays `(m,)`, which are joined."""

# Six megabytes; two cores took twice as long with three times as many.
_AT_ONCE = 3 * 2**19


class LazyLogits(NamedTuple):
    """What logits are computed from, where holding them all is slow: `features @ kernel + bias`.

    Attributes:
        features: Of each token.
        kernel: Of the last layer.
        bias: Of the last layer.

    Example:
        >>> logits = LazyLogits(jnp.ones((2, 3, 5)), jnp.ones((5, 7)), jnp.zeros(7))
        >>> logits.shape, logits.compute().shape
        ((2, 3, 7), (2, 3, 7))
    """

    features: Float[Array, "n t d"]
    kernel: Float[Array, "d v"]
    bias: Float[Array, " v"]

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the logits."""
        return (*self.features.shape[:-1], *self.bias.shape)

    def compute(self) -> Float[Array, "n t v"]:
        """All logits at once."""
        return _project(self.features, (self.kernel, self.bias))


def sum_terms(
    terms: Terms, logits: LazyLogits, target: Int[Array, "n t"], weight: Float[Array, "n t"]
) -> tuple[Float[Array, ""], Any]:
    """Sum over tokens, a few at a time, so that all logits are never held, forward or backward.

    The gradients are computed with the value, in one pass. There are none with respect to `weight`
    and to what is reported.

    Args:
        terms: Gives the terms of some tokens from their logits.
        logits: Of which a part is computed at a time.
        target: Passed to `terms`.
        weight: Passed to `terms`; zero at the tokens that are added to fill the last part.

    Returns:
        The sum, and what `terms` reports.
    """
    n, t, v = logits.shape
    size = min(t, max(1, _AT_ONCE // (n * v)))
    count = -(-t // size)

    def cut(array: jax.Array) -> jax.Array:
        rest = ((0, 0), (0, count * size - t)) + ((0, 0),) * (array.ndim - 2)
        parts = jnp.pad(array, rest).reshape(n, count, size, *array.shape[2:])
        return jnp.moveaxis(parts, 1, 0).reshape(count, n * size, *array.shape[2:])

    def join(array: jax.Array) -> jax.Array:
        if array.ndim == 1:
            return array.sum()
        parts = jnp.moveaxis(array.reshape(count, n, size), 0, 1)
        return parts.reshape(n, count * size)[:, :t]

    parts = [cut(array) for array in (logits.features, target, weight)]
    summed: Any = _sum_parts(terms, (logits.kernel, logits.bias), *parts)
    total, reported = summed
    return total, jax.tree.map(join, reported)


Head = tuple[jax.Array, jax.Array]


def _project(features: jax.Array, head: Head) -> jax.Array:
    kernel, bias = head
    return features @ kernel + bias.reshape((1,) * (features.ndim - 1) + bias.shape)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _sum_parts(
    terms: Terms, head: Head, features: jax.Array, target: jax.Array, weight: jax.Array
) -> tuple[jax.Array, Any]:
    def add(total: jax.Array, part: tuple) -> tuple[jax.Array, Any]:
        features, target, weight = part
        term, reported = terms(_project(features, head), target, weight)
        return total + term, reported

    return jax.lax.scan(add, jnp.zeros(()), (features, target, weight))


def _forward(
    terms: Terms, head: Head, features: jax.Array, target: jax.Array, weight: jax.Array
) -> tuple[tuple[jax.Array, Any], Any]:
    def of_part(head: Head, features: jax.Array, *given: jax.Array) -> tuple[jax.Array, Any]:
        return terms(_project(features, head), *given)

    def add(carry: tuple, part: tuple) -> tuple[tuple, Any]:
        total, of_head = carry
        (term, reported), (more, of_features) = gradient(head, *part)
        return (total + term, jax.tree.map(jnp.add, of_head, more)), (reported, of_features)

    gradient = jax.value_and_grad(of_part, argnums=(0, 1), has_aux=True)
    zeros = jnp.zeros(()), jax.tree.map(jnp.zeros_like, head)
    (total, of_head), (reported, of_features) = jax.lax.scan(add, zeros, (features, target, weight))
    return (total, reported), (of_head, of_features)


def _backward(terms: Terms, gradients: Any, given: tuple[jax.Array, Any]) -> tuple:
    del terms
    of_head, of_features = jax.tree.map(lambda x: given[0] * x, gradients)
    return of_head, of_features, None, None


_sum_parts.defvjp(_forward, _backward)

"""Logits over a large vocabulary, which a loss takes a few tokens at a time."""

import math
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

    Those without weight, the padding, are put last, and parts of them alone are left out. The
    gradients are computed with the value, in one pass. There are none with respect to `weight` and
    to what is reported.

    Args:
        terms: Gives the terms of some tokens from their logits.
        logits: Of which a part is computed at a time.
        target: Passed to `terms`.
        weight: Passed to `terms`; a token without it adds nothing to the sums.

    Returns:
        The sum, and what `terms` reports, in whose arrays tokens without weight may be zeros.
    """
    n, t, v = logits.shape
    # Each device sorts its own.
    groups = math.gcd(n, jax.device_count())
    rows = n // groups * t
    size = min(rows, max(1, _AT_ONCE // (groups * v)))
    count = -(-rows // size)
    order = jnp.argsort(weight.reshape(groups, rows) == 0, axis=-1, stable=True)

    def cut(array: jax.Array) -> jax.Array:
        rest = array.shape[2:]
        array = _take(array.reshape(groups, rows, *rest), order)
        array = jnp.pad(array, ((0, 0), (0, count * size - rows)) + ((0, 0),) * len(rest))
        parts = jnp.moveaxis(array.reshape(groups, count, size, *rest), 1, 0)
        return parts.reshape(count, groups * size, *rest)

    def join(array: jax.Array) -> jax.Array:
        if array.ndim == 1:
            return array.sum()
        parts = jnp.moveaxis(array.reshape(count, groups, size), 0, 1)
        joined = parts.reshape(groups, count * size)[:, :rows]
        return _take(joined, jnp.argsort(order, axis=-1)).reshape(n, t)

    parts = [cut(array) for array in (logits.features, target, weight)]
    summed: Any = _sum_parts(terms, (logits.kernel, logits.bias), *parts)
    total, reported = summed
    return total, jax.tree.map(join, reported)


def _take(array: jax.Array, order: jax.Array) -> jax.Array:
    """Each group's rows in its order."""
    return jax.vmap(lambda rows, order: rows.at[order].get(unique_indices=True))(array, order)


Head = tuple[jax.Array, jax.Array]


def _project(features: jax.Array, head: Head) -> jax.Array:
    kernel, bias = head
    return features @ kernel + bias.reshape((1,) * (features.ndim - 1) + bias.shape)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _sum_parts(
    terms: Terms, head: Head, features: jax.Array, target: jax.Array, weight: jax.Array
) -> tuple[jax.Array, Any]:
    def of_part(features: jax.Array, *given: jax.Array) -> tuple[jax.Array, Any]:
        return terms(_project(features, head), *given)

    return _over_parts(of_part, features, target, weight)


def _forward(
    terms: Terms, head: Head, features: jax.Array, target: jax.Array, weight: jax.Array
) -> tuple[tuple[jax.Array, Any], Any]:
    def of_part(*part: jax.Array) -> tuple[Any, Any]:
        (term, reported), (of_head, of_features) = gradient(head, *part)
        return (term, of_head), (reported, of_features)

    def judge(head: Head, features: jax.Array, *given: jax.Array) -> tuple[jax.Array, Any]:
        return terms(_project(features, head), *given)

    gradient = jax.value_and_grad(judge, argnums=(0, 1), has_aux=True)
    (total, of_head), (reported, of_features) = _over_parts(of_part, features, target, weight)
    return (total, reported), (of_head, of_features)


def _over_parts(of_part: Callable[..., tuple[Any, Any]], *parts: jax.Array) -> tuple[Any, Any]:
    """What is summed and what is joined, of each part that has a token of some weight."""
    summed, joined = jax.eval_shape(of_part, *(array[0] for array in parts))
    zeros = (
        jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), summed),
        jax.tree.map(lambda x: jnp.zeros((len(parts[0]), *x.shape), x.dtype), joined),
    )

    def add(i: jax.Array, carry: tuple[Any, Any]) -> tuple[Any, Any]:
        more, part = of_part(*(array[i] for array in parts))
        summed, joined = carry
        joined = jax.tree.map(lambda all_, one: all_.at[i].set(one), joined, part)
        return jax.tree.map(jnp.add, summed, more), joined

    return jax.lax.fori_loop(0, (parts[-1] != 0).any(-1).sum(), add, zeros)


def _backward(terms: Terms, gradients: Any, given: tuple[jax.Array, Any]) -> tuple:
    del terms
    of_head, of_features = jax.tree.map(lambda x: given[0] * x, gradients)
    return of_head, of_features, None, None


_sum_parts.defvjp(_forward, _backward)

"""Logits over a large vocabulary, of which a loss computes a few tokens at a time."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

Terms = Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, Any]]
"""A function from logits (m, v), targets and weights (m,) of any m tokens to a term of the sum, and
to a pytree of reports: scalars, which are summed too, and arrays (m,), which are joined."""

# Two megabytes of logits. With 4,000 words, parts three times as large took a fifth more time on
# short sentences and 7 % less on the longest; the last part, which is padded, was larger.
_MAX_LOGITS = 2**19


class LazyLogits(NamedTuple):
    """Logits `features @ kernel + bias` that are not computed yet, because holding all is slow.

    Attributes:
        features: The features of each token.
        kernel: The kernel of the output layer.
        bias: The bias of the output layer.

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
        """The shape of the logits."""
        return (*self.features.shape[:-1], *self.bias.shape)

    def compute(self) -> Float[Array, "n t v"]:
        """Compute all logits at once."""
        return _project(self.features, (self.kernel, self.bias))


def sum_terms(
    terms: Terms, logits: LazyLogits, target: Int[Array, "n t"], weight: Float[Array, "n t"]
) -> tuple[Float[Array, ""], Any]:
    """Sum over tokens, a few at a time, so that all logits are never held, forward or backward.

    Tokens of weight zero, the padding, are sorted to the end, and parts that hold nothing else are
    skipped. The gradients are computed together with the value, in one pass. There are none with
    respect to `weight`, nor through the reports.

    Args:
        terms: Computes the terms of some tokens from their logits.
        logits: The logits.
        target: Passed to `terms`.
        weight: Passed to `terms`; a token of weight zero adds nothing to the sums.

    Returns:
        The sum, and the reports of `terms`, in whose arrays tokens of weight zero may be zeros.
    """
    n, t, v = logits.shape
    # Each device sorts its own tokens.
    groups = math.gcd(n, jax.device_count())
    rows = n // groups * t
    size = min(rows, max(1, _MAX_LOGITS // (groups * v)))
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
    """Return each group's rows in its order."""
    return jax.vmap(lambda rows, order: rows.at[order].get(unique_indices=True))(array, order)


Head = tuple[jax.Array, jax.Array]


def _project(features: jax.Array, head: Head) -> jax.Array:
    kernel, bias = head
    return features @ kernel + bias.reshape((1,) * (features.ndim - 1) + bias.shape)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _sum_parts(
    terms: Terms, head: Head, features: jax.Array, target: jax.Array, weight: jax.Array
) -> tuple[jax.Array, Any]:
    def part_terms(features: jax.Array, *rest: jax.Array) -> tuple[jax.Array, Any]:
        return terms(_project(features, head), *rest)

    return _over_parts(part_terms, features, target, weight)


def _forward(
    terms: Terms, head: Head, features: jax.Array, target: jax.Array, weight: jax.Array
) -> tuple[tuple[jax.Array, Any], Any]:
    def part_gradients(*part: jax.Array) -> tuple[Any, Any]:
        (term, reported), (d_head, d_features) = gradient(head, *part)
        return (term, d_head), (reported, d_features)

    def part_terms(head: Head, features: jax.Array, *rest: jax.Array) -> tuple[jax.Array, Any]:
        return terms(_project(features, head), *rest)

    gradient = jax.value_and_grad(part_terms, argnums=(0, 1), has_aux=True)
    parts = features, target, weight
    (total, d_head), (reported, d_features) = _over_parts(part_gradients, *parts)
    return (total, reported), (d_head, d_features)


def _over_parts(function: Callable[..., tuple[Any, Any]], *parts: jax.Array) -> tuple[Any, Any]:
    """Sum the first results and join the second, over each part with a token of some weight."""
    summed, joined = jax.eval_shape(function, *(array[0] for array in parts))
    zeros = (
        jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), summed),
        jax.tree.map(lambda x: jnp.zeros((len(parts[0]), *x.shape), x.dtype), joined),
    )

    def add(i: jax.Array, carry: tuple[Any, Any]) -> tuple[Any, Any]:
        more, part = function(*(array[i] for array in parts))
        summed, joined = carry
        joined = jax.tree.map(lambda all_, one: all_.at[i].set(one), joined, part)
        return jax.tree.map(jnp.add, summed, more), joined

    return jax.lax.fori_loop(0, (parts[-1] != 0).any(-1).sum(), add, zeros)


def _backward(terms: Terms, gradients: Any, cotangents: tuple[jax.Array, Any]) -> tuple:
    del terms
    d_head, d_features = jax.tree.map(lambda x: cotangents[0] * x, gradients)
    return d_head, d_features, None, None


_sum_parts.defvjp(_forward, _backward)

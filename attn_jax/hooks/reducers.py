"""Reducers: functions that make captured weights small inside the program, step by step.

A reducer is any function from an array to a pytree of arrays. These take weights or scores,
`(*b, h, q, k)`, whose last axis is the keys.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float, Int, Num

from attn_jax.hooks.freed import map_freed
from attn_jax.hooks.tap import DerivedTap
from attn_jax.renames import renamed_arguments


def entropy(weights: Num[Array, "*b k"]) -> Float[Array, "*b"]:
    r"""Return the entropy of each distribution, in nats: :math:`-\sum_k w_k \log w_k`.

    Args:
        weights: Distributions along the last axis; a weight of zero contributes nothing.

    Returns:
        Values between 0, all weight on one key, and :math:`\log k`, equal weights. In float32
        at least.

    Example:
        >>> entropy(jnp.array([[0.5, 0.5], [1.0, 0.0]])).round(4)
        Array([0.6931, 0.    ], dtype=float32)
    """
    is_float = jnp.issubdtype(weights.dtype, jnp.floating)
    dtype = weights.dtype if is_float else jnp.result_type(float)
    weights = weights.astype(jnp.promote_types(dtype, jnp.float32))
    is_zero = weights == 0
    # The logarithm never sees the zeros, so that no gradient becomes 0 times infinity.
    return jnp.sum(weights * -jnp.log(jnp.where(is_zero, 1.0, weights)), axis=-1)


@renamed_arguments(k="top_k")
def top_k(
    top_k: int,
) -> Callable[[Num[Array, "*b n"]], tuple[Num[Array, "*b k"], Int[Array, "*b k"]]]:
    """Return a reducer that keeps the largest weights of each query, and the numbers of their keys.

    Args:
        top_k: The number of weights to keep, at most the number of keys.

    Returns:
        A function from weights to `(values, indices)`, the largest first.

    Raises:
        ValueError: If `top_k` is negative or, when called, larger than the number of keys.

    Example:
        >>> values, indices = top_k(2)(jnp.array([[0.1, 0.2, 0.7]]))
        >>> indices
        Array([[2, 1]], dtype=int32)
    """
    if top_k < 0:
        raise ValueError(f"top_k={top_k} must be a number of keys, at least 0.")

    def keep_largest(weights: Num[Array, "*b n"]):
        if top_k > weights.shape[-1]:
            raise ValueError(
                f"top_k={top_k} must be at most the number of keys, {weights.shape[-1]}."
            )
        values, indices = lax.top_k(weights, top_k)
        return values, indices

    return keep_largest


def mean_heads(weights: Num[Array, "*b h q k"]) -> Float[Array, "*b q k"]:
    """Return the mean of the weights over the heads.

    Example:
        >>> mean_heads(jnp.ones((3, 2, 5))).shape
        (2, 5)
    """
    return jnp.mean(weights, axis=-3)


@runtime_checkable
class SiteReducer(Protocol):
    """A reducer that can do without the whole of a value that a fused call derives."""

    def __call__(self, value: Array) -> Any:
        """Reduce a value that exists already."""
        ...

    def of_derived(self, derived: DerivedTap, leaf: str, operands: Mapping[str, Array]) -> Any:
        """Reduce a leaf of a fused call, given its formulas and operands."""
        ...


@dataclasses.dataclass(frozen=True)
class RowBlocked:
    """A reducer that takes the queries block by block; see :func:`row_blocked`."""

    reducer: Callable[[Array], Any]
    block: int

    def __call__(self, weights: Num[Array, "*b q k"]) -> Any:
        """Reduce weights that exist already."""

        def rows(start: ArrayLike, size: int) -> Array:
            return lax.dynamic_slice_in_dim(weights, start, size, axis=-2)

        return self.of_rows(rows, weights.shape)

    def of_derived(self, derived: DerivedTap, leaf: str, operands: Mapping[str, Array]) -> Any:
        """Reduce a leaf that is derived for a block of queries at a time."""

        def rows(start: ArrayLike, size: int) -> Array:
            return derived.derive(leaf, derived.rows(operands, start, size))

        return self.of_rows(rows, jax.eval_shape(lambda: derived.derive(leaf, operands)).shape)

    def of_rows(self, rows: Callable[[ArrayLike, int], Array], shape: tuple[int, ...]) -> Any:
        """Reduce an array that only ever exists in parts.

        Args:
            rows: Returns the part of the array for `size` queries from `start`.
            shape: The shape of the whole array.
        """
        # The axis of the queries is the one that shrinks in a part without queries.
        axis = _changing_axis(jax.eval_shape(lambda: rows(0, 0)).shape, shape)
        num_queries = 0 if axis is None else shape[axis]
        if num_queries <= self.block:
            return self.reducer(rows(0, num_queries))
        return _reduce_blocks(
            lambda start, size: self.reducer(rows(start, size)), num_queries, self.block
        )


def row_blocked(reducer: Callable[[Array], Any], block: int) -> RowBlocked:
    """Return a reducer that applies another one to a block of queries at a time.

    At a fused call the weights of one block are derived, reduced and dropped before the next,
    so that no array of queries by keys ever exists.

    Args:
        reducer: A reducer that treats queries independently and keeps their axis, as
            :func:`entropy` does.
        block: The number of queries in a block; it need not divide their number.

    Returns:
        A reducer with the same results.

    Raises:
        ValueError: If `block` is not positive or, when called, the reducer mixes queries.

    Example:
        >>> weights = jax.nn.softmax(jnp.arange(35.0).reshape(7, 5))
        >>> row_blocked(entropy, 3)(weights).shape
        (7,)
    """
    if block < 1:
        raise ValueError(f"block={block} must be a positive number of queries.")
    return RowBlocked(reducer, block)


def _reduce_blocks(reduce: Callable[[ArrayLike, int], Any], length: int, block: int) -> Any:
    """Call `reduce(start, size)` for whole blocks and then for the remainder, and join all."""
    num_blocks, remainder = divmod(length, block)
    # A reducer may return any shapes. Their axis of queries is the one that differs between the
    # results for one query and for two.
    one, two = (jax.eval_shape(lambda size=size: reduce(0, size)) for size in (1, 2))
    axes = jax.tree.map(_query_axis, one, two)
    stacked = map_freed(lambda i: reduce(i * block, block), jnp.arange(num_blocks))
    joined = jax.tree.map(_merge, stacked, axes)
    if not remainder:
        return joined
    last = reduce(num_blocks * block, remainder)
    return jax.tree.map(lambda axis, *parts: jnp.concatenate(parts, axis), axes, joined, last)


def _merge(stacked: Array, axis: int) -> Array:
    """Join blocks that are stacked along the first axis, along an axis of their own."""
    return lax.collapse(jnp.moveaxis(stacked, 0, axis), axis, axis + 2)


def _query_axis(one: jax.ShapeDtypeStruct, two: jax.ShapeDtypeStruct) -> int:
    """Return the axis of the queries, given the results of a reducer for one of them and two."""
    axis = _changing_axis(one.shape, two.shape)
    if axis is None:
        raise ValueError(
            "row_blocked needs a reducer that keeps the axis of the queries; this one returns "
            f"shape {list(two.shape)} for one query and for two."
        )
    return axis


def _changing_axis(one: tuple[int, ...], other: tuple[int, ...]) -> int | None:
    """Return the first axis in which two shapes differ."""
    pairs = enumerate(zip(one, other, strict=True))
    return next((i for i, sizes in pairs if len(set(sizes)) > 1), None)

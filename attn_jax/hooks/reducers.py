"""What to keep of captured weights: computed inside the program, step by step.

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
from jaxtyping import Float, Int

from attn_jax.hooks.tap import DerivedTap


def entropy(weights: Float[Array, "*b k"]) -> Float[Array, "*b"]:
    r"""Return the entropy of each distribution, in nats: :math:`-\sum_k w_k \log w_k`.

    Args:
        weights: distributions along the last axis; a weight of zero counts nothing.

    Returns:
        Between 0, all on one key, and :math:`\log k`, the same on all. In float32 at least.

    Example:
        >>> entropy(jnp.array([[0.5, 0.5], [1.0, 0.0]])).round(4)
        Array([0.6931, 0.    ], dtype=float32)
    """
    weights = weights.astype(jnp.promote_types(weights.dtype, jnp.float32))
    is_zero = weights == 0
    # The logarithm never meets the zeros, so that no gradient is lost in 0 times infinity.
    return jnp.sum(weights * -jnp.log(jnp.where(is_zero, 1.0, weights)), axis=-1)


def top_k(
    k: int,
) -> Callable[[Float[Array, "*b n"]], tuple[Float[Array, "*b k"], Int[Array, "*b k"]]]:
    """Return a reducer that keeps the largest weights of each query, and which keys they are.

    Args:
        k: how many, at most the number of keys.

    Returns:
        A function from weights to `(values, indices)`, the largest first.

    Example:
        >>> values, indices = top_k(2)(jnp.array([[0.1, 0.2, 0.7]]))
        >>> indices
        Array([[2, 1]], dtype=int32)
    """

    def keep_largest(weights: Float[Array, "*b n"]):
        values, indices = lax.top_k(weights, k)
        return values, indices

    return keep_largest


def mean_heads(weights: Float[Array, "*b h q k"]) -> Float[Array, "*b q k"]:
    """Return the mean over the heads.

    Example:
        >>> mean_heads(jnp.ones((3, 2, 5))).shape
        (2, 5)
    """
    return jnp.mean(weights, axis=-3)


@runtime_checkable
class SiteReducer(Protocol):
    """A reducer that need not be given the whole of a value that a fused call can derive."""

    def __call__(self, value: Array) -> Any:
        """Reduce a value that is there already."""
        ...

    def of_derived(self, site: DerivedTap, leaf: str, operands: Mapping[str, Array]) -> Any:
        """Reduce a leaf of a fused call, from the site and what it is derived from."""
        ...


@dataclasses.dataclass(frozen=True)
class RowBlocked:
    """A reducer that goes over the queries block by block; see :func:`row_blocked`."""

    reducer: Callable[[Array], Any]
    block: int

    def __call__(self, weights: Float[Array, "*b q k"]) -> Any:
        """Reduce weights that are there already."""

        def rows(start: ArrayLike, size: int) -> Array:
            return lax.dynamic_slice_in_dim(weights, start, size, axis=-2)

        return self.of_rows(rows, weights.shape)

    def of_derived(self, site: DerivedTap, leaf: str, operands: Mapping[str, Array]) -> Any:
        """Reduce a leaf that is derived for some queries at a time."""

        def rows(start: ArrayLike, size: int) -> Array:
            return site.derive(leaf, site.rows(operands, start, size))

        return self.of_rows(rows, jax.eval_shape(lambda: site.derive(leaf, operands)).shape)

    def of_rows(self, rows: Callable[[ArrayLike, int], Array], shape: tuple[int, ...]) -> Any:
        """Reduce an array of some shape that is only ever had in parts.

        Args:
            rows: returns the part of the array for so many queries, from a start on.
            shape: the shape of the whole array.
        """
        axis = _changing_axis(jax.eval_shape(lambda: rows(0, 1)).shape, shape)
        if axis is None or shape[axis] <= self.block:
            return self.reducer(rows(0, 1 if axis is None else shape[axis]))
        return _in_blocks(lambda *at: self.reducer(rows(*at)), shape[axis], self.block)


def row_blocked(reducer: Callable[[Array], Any], block: int) -> RowBlocked:
    """Return a reducer that computes another one for a block of queries at a time.

    At a fused call the weights of one block are derived, reduced and dropped before the next,
    so that no array of queries by keys is ever held.

    Args:
        reducer: one that treats queries apart and keeps their axis, as :func:`entropy` does.
        block: the number of queries in a block; it need not divide their number.

    Returns:
        A reducer with the same results.

    Raises:
        ValueError: if `block` is not positive or, when called, the reducer mixes queries.

    Example:
        >>> weights = jax.nn.softmax(jnp.arange(35.0).reshape(7, 5))
        >>> row_blocked(entropy, 3)(weights).shape
        (7,)
    """
    if block < 1:
        raise ValueError(f"block={block} must be a positive number of queries.")
    return RowBlocked(reducer, block)


def _in_blocks(reduce: Callable[[ArrayLike, int], Any], length: int, block: int) -> Any:
    """Call `reduce(start, size)` for whole blocks and then for what is left, and join it all."""
    whole, left = divmod(length, block)
    one, two = (jax.eval_shape(lambda size=size: reduce(0, size)) for size in (1, 2))
    axes = jax.tree.map(_query_axis, one, two)
    parts = lax.map(lambda i: reduce(i * block, block), jnp.arange(whole))
    joined = jax.tree.map(_merge, parts, axes)
    if not left:
        return joined
    return jax.tree.map(
        lambda axis, *both: jnp.concatenate(both, axis), axes, joined, reduce(whole * block, left)
    )


def _merge(parts: Array, axis: int) -> Array:
    """Join the blocks, stacked in front, along an axis of theirs."""
    moved = jnp.moveaxis(parts, 0, axis)
    shape = (*moved.shape[:axis], -1, *moved.shape[axis + 2 :])
    return moved.reshape(shape)


def _query_axis(one: jax.ShapeDtypeStruct, two: jax.ShapeDtypeStruct) -> int:
    """Return the axis of the queries in what a reducer returns for one of them and for two."""
    axis = _changing_axis(one.shape, two.shape)
    if axis is None:
        raise ValueError(
            "row_blocked needs a reducer that keeps the axis of the queries; this one returns "
            f"shape {list(two.shape)} for one query and for two."
        )
    return axis


def _changing_axis(one: tuple[int, ...], many: tuple[int, ...]) -> int | None:
    """Return the first axis in which two shapes differ."""
    return next(
        (i for i, pair in enumerate(zip(one, many, strict=True)) if len(set(pair)) > 1), None
    )

"""Masks: boolean arrays in which True means *may attend*."""

import functools
import operator

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from attn_jax.ops.shapes import check_mask


def key_offsets(num_queries: int, num_keys: int, query_offset) -> Int[Array, "*b q k"]:
    """Key index less query index, for every pair."""
    offset = jnp.asarray(query_offset)[..., None, None]
    ones = (1,) * (offset.ndim - 2)
    queries = jnp.arange(num_queries).reshape(*ones, num_queries, 1) + offset
    return jnp.arange(num_keys).reshape(*ones, 1, num_keys) - queries


def causal_mask(
    num_queries: int, num_keys: int, *, query_offset: int | Int[Array, "*b"] = 0
) -> Bool[Array, "*b q k"]:
    """Let each query attend to the keys that are not after it.

    Args:
        num_queries: q.
        num_keys: k.
        query_offset: The position of the first query among the keys. Decoding with a cache of `n`
            keys sets it to `n`; it may be traced, and differ along batch axes.

    Returns:
        `mask[i, j] = j <= i + query_offset`.

    Example:
        >>> causal_mask(2, 3).astype(int).tolist()
        [[1, 0, 0], [1, 1, 0]]
        >>> causal_mask(1, 3, query_offset=2).astype(int).tolist()
        [[1, 1, 1]]
    """
    return key_offsets(num_queries, num_keys, query_offset) <= 0


def window_mask(
    num_queries: int,
    num_keys: int,
    window: int | tuple[int, int],
    *,
    query_offset: int | Int[Array, "*b"] = 0,
) -> Bool[Array, "*b q k"]:
    """Let each query attend to its neighbourhood only (sliding window).

    Args:
        num_queries: q.
        num_keys: k.
        window: How many keys to the left and to the right, ends included; one number is both.
        query_offset: The position of the first query among the keys.

    Returns:
        `mask[i, j] = -left <= j - i - query_offset <= right`.

    Raises:
        ValueError: If a side is negative.

    Example:
        >>> window_mask(3, 3, (1, 0)).astype(int).tolist()
        [[1, 0, 0], [1, 1, 0], [0, 1, 1]]

    References:
        Beltagy, Peters and Cohan, "Longformer", 2020, section 3.1. https://arxiv.org/abs/2004.05150
    """
    left, right = (window, window) if isinstance(window, int) else window
    if left < 0 or right < 0:
        raise ValueError(
            f"window={window} has a negative side; (left, right) are counts of keys, at least 0."
        )
    offsets = key_offsets(num_queries, num_keys, query_offset)
    return (offsets >= -left) & (offsets <= right)


def padding_mask(num_keys: int, *, lengths: Int[Array, "*b"]) -> Bool[Array, "*b 1 k"]:
    """Hide the padding behind sequences of unequal length.

    Args:
        num_keys: k, the padded length.
        lengths: How many keys of each sequence are real.

    Returns:
        `mask[..., 0, j] = j < length`, a `mask` of scores `(*b, q, k)`. Without its last axis but
        one, `mask[..., 0, :]`, it is the `key_mask` that every attention takes.

    Example:
        >>> padding_mask(3, lengths=jnp.array([1, 3])).astype(int).tolist()
        [[[1, 0, 0]], [[1, 1, 1]]]
    """
    keys = jnp.arange(num_keys).reshape((1,) * (lengths.ndim + 1) + (num_keys,))
    return keys < lengths[..., None, None]


def combine_masks(*masks: Bool[Array, "..."] | None) -> Bool[Array, "..."] | None:
    """Allow what every mask allows.

    Args:
        *masks: Masks that broadcast together, from any rank; None allows everything.

    Returns:
        Their conjunction, or None if there is none.

    Raises:
        TypeError: If a mask is not boolean.
        ValueError: If the shapes do not broadcast together.

    Example:
        >>> combine_masks(causal_mask(2, 2), None, jnp.array([[True, False]])).astype(int).tolist()
        [[1, 0], [1, 0]]
    """
    given = [mask for mask in masks if mask is not None]
    if not given:
        return None
    for mask in given:
        check_mask(mask)
    try:
        shape = jnp.broadcast_shapes(*(mask.shape for mask in given))
    except ValueError:
        raise ValueError(
            f"masks of shapes {[mask.shape for mask in given]} do not broadcast together."
        ) from None
    return functools.reduce(operator.and_, (jnp.broadcast_to(mask, shape) for mask in given))


def align_to_tokens(name: str, mask: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Give a mask of tokens the rank of `(*b, tokens)`, with axes of size one where it is shared.

    Args:
        name: What errors call it.
        mask: Boolean, `(*b, tokens)` with ones allowed, or `(tokens,)`; True = the token exists.
        shape: `(*b, tokens)`.

    Raises:
        TypeError: If the mask is not boolean.
        ValueError: If it does not fit.
    """
    check_mask(mask, name)
    sizes = (1,) * (len(shape) - mask.ndim) + mask.shape
    if mask.ndim not in (1, len(shape)) or any(
        size not in (1, total) for size, total in zip(sizes, shape, strict=True)
    ):
        raise ValueError(
            f"{name} of shape {mask.shape} does not fit (*batch, tokens) = {shape}; what differs "
            "from query to query, or from head to head, goes in mask."
        )
    return mask.reshape(sizes)


def with_key_mask(
    mask: jax.Array | None, key_mask: jax.Array | None, shape: tuple[int, ...], batch: int
) -> jax.Array | None:
    """Join a mask with one of the keys, at the rank of the scores.

    Args:
        mask: Boolean, of the rank of the scores.
        key_mask: Boolean, `(*b, k)` with ones allowed, or `(k,)`; True = the key exists.
        shape: The shape of the scores.
        batch: How many batch axes they have: those before heads and queries.

    Returns:
        The mask, or None if everything may be seen.

    Raises:
        TypeError: If a mask is not boolean.
        ValueError: If the mask of the keys does not fit.
    """
    if key_mask is None:
        return mask
    key_mask = align_to_tokens("key_mask", key_mask, (*shape[:batch], shape[-1]))
    middle = range(batch, len(shape) - 1)
    return combine_masks(mask, jnp.expand_dims(key_mask, tuple(middle)))

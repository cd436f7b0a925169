"""Boolean masks, in which True means *may attend*."""

import functools
import operator

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from attn_jax.ops.shapes import check_mask


def key_offsets(num_queries: int, num_keys: int, query_offset) -> Int[Array, "*b q k"]:
    """Return the position of each key relative to each query."""
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
        query_offset: The position of the first query among the keys; `n` when decoding with a cache
            of `n` keys. It may be traced, and differ along batch axes.

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
    """Let each query attend only to the keys around it (sliding window).

    Args:
        num_queries: q.
        num_keys: k.
        window: The number of keys to the left and to the right; one number for both.
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
            f"window={window} has a negative side; (left, right) are numbers of keys, at least 0."
        )
    offsets = key_offsets(num_queries, num_keys, query_offset)
    return (offsets >= -left) & (offsets <= right)


def padding_mask(num_keys: int, *, lengths: Int[Array, "*b"]) -> Bool[Array, "*b 1 k"]:
    """Hide the padding behind sequences of unequal length.

    Args:
        num_keys: k, the padded length.
        lengths: The number of keys in each sequence, without padding.

    Returns:
        `mask[..., 0, j] = j < length`, which broadcasts to scores `(*b, q, k)`. Its one row,
        `mask[..., 0, :]`, is the `key_mask` that every attention takes.

    Example:
        >>> padding_mask(3, lengths=jnp.array([1, 3])).astype(int).tolist()
        [[[1, 0, 0]], [[1, 1, 1]]]
    """
    keys = jnp.arange(num_keys).reshape((1,) * (lengths.ndim + 1) + (num_keys,))
    return keys < lengths[..., None, None]


def combine_masks(*masks: Bool[Array, "..."] | None) -> Bool[Array, "..."] | None:
    """Combine masks: a pair may attend if every mask allows it.

    Args:
        *masks: Masks of any rank that broadcast together; None allows everything.

    Returns:
        Their conjunction, or None if all are None.

    Raises:
        TypeError: If a mask is not boolean.
        ValueError: If the shapes do not broadcast together.

    Example:
        >>> combine_masks(causal_mask(2, 2), None, jnp.array([[True, False]])).astype(int).tolist()
        [[1, 0], [1, 0]]
    """
    present = [mask for mask in masks if mask is not None]
    if not present:
        return None
    for mask in present:
        check_mask(mask)
    try:
        shape = jnp.broadcast_shapes(*(mask.shape for mask in present))
    except ValueError:
        raise ValueError(
            f"masks of shapes {[mask.shape for mask in present]} do not broadcast together."
        ) from None
    return functools.reduce(operator.and_, (jnp.broadcast_to(mask, shape) for mask in present))


def align_to_tokens(name: str, mask: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Return a mask of tokens with the rank of `(*b, tokens)`, and ones where it is shared.

    Args:
        name: The name of the argument, for errors.
        mask: `(*b, tokens)` with ones allowed, or `(tokens,)`; True = the token exists.
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
            f"{name} of shape {mask.shape} does not fit (*batch, tokens) = {shape}; a mask that "
            "differs between queries or heads goes in mask."
        )
    return mask.reshape(sizes)


def with_key_mask(
    mask: jax.Array | None, key_mask: jax.Array | None, shape: tuple[int, ...], batch: int
) -> jax.Array | None:
    """Combine a mask with a mask of the keys, at the rank of the scores.

    Args:
        mask: True = may attend; of the rank of the scores.
        key_mask: `(*b, k)` with ones allowed, or `(k,)`; True = the key exists.
        shape: The shape of the scores.
        batch: The number of batch axes, before heads and queries.

    Returns:
        The mask, or None if nothing is hidden.

    Raises:
        TypeError: If a mask is not boolean.
        ValueError: If `key_mask` does not fit.
    """
    if key_mask is None:
        return mask
    key_mask = align_to_tokens("key_mask", key_mask, (*shape[:batch], shape[-1]))
    middle = range(batch, len(shape) - 1)
    return combine_masks(mask, jnp.expand_dims(key_mask, tuple(middle)))

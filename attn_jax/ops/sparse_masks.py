"""Masks of sparse attention: dilated windows, blocks, and bidirectional prefixes."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from attn_jax.ops.masks import causal_mask, key_offsets, padding_mask, window_mask
from attn_jax.ops.shapes import check_mask


def dilated_mask(
    num_queries: int,
    num_keys: int,
    window: int | tuple[int, int],
    *,
    dilation: int,
    query_offset: int | Int[Array, "*b"] = 0,
) -> Bool[Array, "*b q k"]:
    """Let each query attend to every n-th key around it (dilated sliding window).

    Args:
        num_queries: q.
        num_keys: k.
        window: The number of visible keys to the left and to the right; one number for both.
        dilation: n, the distance from one visible key to the next; 1 is :func:`window_mask`.
        query_offset: The position of the first query among the keys.

    Returns:
        `mask[i, j]` is true where `j - i - query_offset` is a multiple of the dilation, from
        `-left * dilation` to `right * dilation`.

    Raises:
        ValueError: If a side is negative or the dilation is not positive.

    Example:
        >>> dilated_mask(1, 7, 1, dilation=2, query_offset=3).astype(int).tolist()
        [[0, 1, 0, 1, 0, 1, 0]]

    References:
        Beltagy, Peters and Cohan, "Longformer", 2020, section 3.1. https://arxiv.org/abs/2004.05150
    """
    if dilation < 1:
        raise ValueError(f"dilation={dilation} must be at least 1, a window without gaps.")
    left, right = (window, window) if isinstance(window, int) else window
    sides = (left * dilation, right * dilation)
    near = window_mask(num_queries, num_keys, sides, query_offset=query_offset)
    return near & (key_offsets(num_queries, num_keys, query_offset) % dilation == 0)


def block_sparse_mask(
    num_queries: int, num_keys: int, *, layout: Bool[Array, "*b m n"], block_size: int
) -> Bool[Array, "*b q k"]:
    """Let blocks of queries attend to blocks of keys, given a layout of blocks.

    Local, strided, fixed, global and random patterns are all layouts.

    Args:
        num_queries: q; the last block may be cut short.
        num_keys: k; the last block may be cut short.
        layout: True where one of m blocks of queries may attend to one of n blocks of keys.
        block_size: The number of tokens in a block.

    Returns:
        `mask[i, j] = layout[i // block_size, j // block_size]`.

    Raises:
        ValueError: If the layout has too many or too few blocks.
        TypeError: If the layout is not boolean.

    Example:
        >>> layout = jnp.eye(2, dtype=bool)
        >>> block_sparse_mask(3, 4, layout=layout, block_size=2).astype(int).tolist()
        [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1]]

    References:
        Child et al., "Generating Long Sequences with Sparse Transformers", 2019, section 4.
        https://arxiv.org/abs/1904.10509
        Zaheer et al., "Big Bird: Transformers for Longer Sequences", 2020, section 2.
        https://arxiv.org/abs/2007.14062
    """
    check_mask(layout)
    if block_size < 1:
        raise ValueError(f"block_size={block_size} must be at least 1.")
    needed = -(-num_queries // block_size), -(-num_keys // block_size)
    if layout.shape[-2:] != needed:
        raise ValueError(
            f"layout has {layout.shape[-2:]} blocks; {num_queries} queries and {num_keys} keys in "
            f"blocks of {block_size} need {needed}."
        )
    rows = jnp.repeat(layout, block_size, axis=-2)[..., :num_queries, :]
    return jnp.repeat(rows, block_size, axis=-1)[..., :num_keys]


def prefix_mask(
    num_queries: int,
    num_keys: int,
    *,
    lengths: Int[Array, "*b"],
    query_offset: int | Int[Array, "*b"] = 0,
) -> Bool[Array, "*b q k"]:
    """Let every query attend to the prefix, and to later keys causally (prefix-LM).

    Args:
        num_queries: q.
        num_keys: k.
        lengths: The number of keys in each sequence's prefix.
        query_offset: The position of the first query among the keys.

    Returns:
        `mask[i, j] = j < length or j <= i + query_offset`.

    Example:
        >>> prefix_mask(3, 4, lengths=jnp.array(2)).astype(int).tolist()
        [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0]]

    References:
        Liu et al., "Generating Wikipedia by Summarizing Long Sequences", 2018, section 4.2.3;
        Raffel et al., "Exploring the Limits of Transfer Learning", 2020, section 3.2.1.
        https://arxiv.org/abs/1910.10683
    """
    offset = jnp.broadcast_to(jnp.asarray(query_offset), lengths.shape)
    causal = causal_mask(num_queries, num_keys, query_offset=offset)
    return padding_mask(num_keys, lengths=lengths) | causal

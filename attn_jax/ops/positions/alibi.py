"""Attention with linear biases (Press 2022)."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from attn_jax.ops.masks import key_offsets


def alibi_slopes(num_heads: int) -> Float[Array, " h"]:
    r"""Return the slope of each head's bias.

    For a power of two, :math:`m_i = 2^{-8i/h}` for :math:`i = 1, \ldots, h`. Any other number of
    heads takes the slopes of the power of two below it, and the rest from every other slope of
    twice that power.

    Args:
        num_heads: h.

    Returns:
        `(h,)`.

    Raises:
        ValueError: If `num_heads` is below one.

    Example:
        >>> alibi_slopes(4).tolist()
        [0.25, 0.0625, 0.015625, 0.00390625]
    """
    if num_heads < 1:
        raise ValueError(f"num_heads={num_heads} must be at least 1.")
    below = 2 ** int(math.log2(num_heads))
    slopes = [2 ** (-8 * i / below) for i in range(1, below + 1)]
    between = [2 ** (-4 * i / below) for i in range(1, 2 * below + 1, 2)]
    return jnp.asarray(slopes + between[: num_heads - below])


def alibi_bias(
    num_queries: int,
    num_keys: int,
    *,
    num_heads: int,
    query_offset: int | Int[Array, ""] = 0,
) -> Float[Array, "h q k"]:
    r"""Penalize each score in proportion to the distance from query to key.

    .. math:: \text{bias}_{hij} = -m_h \, |i + \text{query\_offset} - j|

    Pass it as `bias` to :func:`attn_jax.ops.attention`, and as `bias[None]` if there is a batch.
    With a causal mask it is the bias of the paper; without one, its symmetric form.

    Args:
        num_queries: q.
        num_keys: k.
        num_heads: h.
        query_offset: The position of the first query among the keys.

    Returns:
        `(h, q, k)`.

    Raises:
        ValueError: If `num_heads` is below one.

    Example:
        >>> alibi_bias(2, 3, num_heads=8)[0].tolist()
        [[-0.0, -0.5, -1.0], [-0.5, -0.0, -0.5]]

    References:
        Press, Smith and Lewis, "Train Short, Test Long: Attention with Linear Biases Enables Input
        Length Extrapolation", 2022, section 3. https://arxiv.org/abs/2108.12409
    """
    distance = jnp.abs(key_offsets(num_queries, num_keys, query_offset)).astype(jnp.float32)
    return -alibi_slopes(num_heads)[:, None, None] * distance[None]

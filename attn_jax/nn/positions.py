"""Positions and normalization of multi-head queries, keys and scores, as Flax modules."""

from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from attn_jax import ops


class Rotary(nn.Module):
    """Rotary positions, a `transform` of :class:`MultiHeadAttention`: :func:`attn_jax.ops.rotary`.

    It has no parameters. Query and key have the positions 0, 1, … unless they are given.

    Attributes:
        base: The approximate ratio of the longest wavelength to the shortest.
        fraction: The fraction of each head's features that is rotated.
        factor: Divides every position (position interpolation), to reach longer contexts.

    Example:
        >>> from attn_jax.nn import MultiHeadAttention
        >>> x = jnp.ones((2, 5, 12))
        >>> model = MultiHeadAttention(num_heads=3, causal=True, transform=Rotary())
        >>> model.apply(model.init(jax.random.key(0), x), x).shape
        (2, 5, 12)
    """

    base: float = 10_000.0
    fraction: float = 1.0
    factor: float = 1.0

    def __call__(
        self,
        query: Float[Array, "*b q h d"],
        key: Float[Array, "*b k h_k d"],
        *,
        positions: Int[Array, "..."] | None = None,
    ) -> tuple[Float[Array, "*b q h d"], Float[Array, "*b k h_k d"]]:
        """Rotate query and key by their positions.

        Args:
            query: `(*b, q, h, d)`.
            key: `(*b, k, h_k, d)`.
            positions: Those of the tokens, broadcastable to `(*b, tokens)`; 0, 1, … if None.

        Raises:
            ValueError: If the number of rotated features is odd.
        """
        frequencies = ops.rotary_frequencies(int(self.fraction * query.shape[-1]), base=self.base)
        frequencies = frequencies / self.factor
        return (
            ops.rotary(query, positions=positions, frequencies=frequencies),
            ops.rotary(key, positions=positions, frequencies=frequencies),
        )


class QueryKeyNorm(nn.Module):
    """Query-key norm, a `transform` of :class:`MultiHeadAttention`.

    The function is :func:`attn_jax.ops.query_key_norm`. Parameters: `query_scale (d,)` and
    `key_scale (d,)`, which start at one.

    Attributes:
        epsilon: Added to the mean square, so that a vector of zeros stays zero.
        then: Another transform to apply afterwards, usually :class:`Rotary`.

    Example:
        >>> from attn_jax.nn import MultiHeadAttention
        >>> x = jnp.ones((2, 5, 12))
        >>> model = MultiHeadAttention(num_heads=3, transform=QueryKeyNorm(then=Rotary()))
        >>> sorted(model.init(jax.random.key(0), x)["params"]["transform"])
        ['key_scale', 'query_scale']
    """

    epsilon: float = 1e-6
    then: nn.Module | None = None

    @nn.compact
    def __call__(
        self, query: Float[Array, "*b q h d"], key: Float[Array, "*b k h_k d"], **kwargs: Any
    ) -> tuple[Float[Array, "*b q h d"], Float[Array, "*b k h_k d"]]:
        """Normalize query and key.

        Args:
            query: `(*b, q, h, d)`.
            key: `(*b, k, h_k, d)`.
            **kwargs: What the transform that follows takes, such as `positions`.
        """
        ones, shape = nn.initializers.ones, (query.shape[-1],)
        query, key = ops.query_key_norm(
            query,
            key,
            query_scale=self.param("query_scale", ones, shape, jnp.float32),
            key_scale=self.param("key_scale", ones, shape, jnp.float32),
            epsilon=self.epsilon,
        )
        return (query, key) if self.then is None else self.then(query, key, **kwargs)


class RelativePositionBias(nn.Module):
    """T5's learned bias of each distance and head: :func:`attn_jax.ops.t5_relative_bias`.

    Parameter: `table (num_buckets, num_heads)`. Pass the result to an attention as `bias`.

    Attributes:
        num_heads: The heads h.
        num_buckets: The number of buckets of distances.
        max_distance: Distances beyond this share one bucket.
        causal: Whether keys after the query are hidden and need no buckets.

    Example:
        >>> model = RelativePositionBias(num_heads=3)
        >>> model.apply(model.init(jax.random.key(0), 5, 7), 5, 7).shape
        (3, 5, 7)
    """

    num_heads: int = 4
    num_buckets: int = 32
    max_distance: int = 128
    causal: bool = False

    @nn.compact
    def __call__(
        self, num_queries: int, num_keys: int, *, query_offset: int | Int[Array, "*b"] = 0
    ) -> Float[Array, "*b h q k"]:
        """Look up the bias.

        Args:
            num_queries: q.
            num_keys: k.
            query_offset: The position of the first query among the keys. It may be traced, and
                differ along batch axes.
        """
        shape = (self.num_buckets, self.num_heads)
        return ops.t5_relative_bias(
            num_queries,
            num_keys,
            table=self.param("table", nn.initializers.normal(1.0), shape, jnp.float32),
            max_distance=self.max_distance,
            causal=self.causal,
            query_offset=query_offset,
        )

"""Single-head attentions as Flax modules, one for each score function."""

import math

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from attn_jax import ops
from attn_jax.nn.attention import Attention


class DotProductAttention(Attention):
    """Attention by the inner product of query and key: :func:`attn_jax.ops.dot_product_attention`.

    It has no parameters.

    Example:
        >>> x = jnp.ones((2, 5, 3))
        >>> DotProductAttention().apply({}, x, x, x).shape
        (2, 5, 3)
    """

    def scores(
        self, query: Float[Array, "*b q d"], key: Float[Array, "*b k d"]
    ) -> Float[Array, "*b q k"]:
        """Score by the inner product."""
        return ops.dot_product_scores(query, key)


class ScaledDotProductAttention(Attention):
    """Attention by the scaled inner product: :func:`attn_jax.ops.scaled_dot_product_attention`.

    It has no parameters.

    Attributes:
        scale: Factor of the inner product; one over the root of the features if None.

    Example:
        >>> x = jnp.ones((2, 5, 3))
        >>> ScaledDotProductAttention().apply({}, x, x, x).shape
        (2, 5, 3)
    """

    scale: float | None = None

    def scores(
        self, query: Float[Array, "*b q d"], key: Float[Array, "*b k d"]
    ) -> Float[Array, "*b q k"]:
        """Score by the scaled inner product."""
        return ops.scaled_dot_product_scores(query, key, scale=self.scale)


class CosineAttention(Attention):
    """Attention by the angle, with a learned temperature: :func:`attn_jax.ops.cosine_attention`.

    Parameter: `log_temperature`, a number.

    Attributes:
        temperature: The initial temperature. Cosines differ by at most two, so at a temperature of
            one no weight could exceed another by more than a factor of e².

    Example:
        >>> x = jnp.ones((2, 5, 3))
        >>> model = CosineAttention()
        >>> variables = model.init(jax.random.key(0), x, x, x)
        >>> model.apply(variables, x, x, x).shape
        (2, 5, 3)
    """

    temperature: float = 0.1

    def scores(
        self, query: Float[Array, "*b q d"], key: Float[Array, "*b k d"]
    ) -> Float[Array, "*b q k"]:
        """Score by the cosine."""
        start = nn.initializers.constant(math.log(self.temperature))
        log_temperature = self.param("log_temperature", start, (), jnp.float32)
        return ops.cosine_scores(query, key, temperature=jnp.exp(log_temperature))


class BilinearAttention(Attention):
    """Attention by a matrix between query and key: :func:`attn_jax.ops.bilinear_attention`.

    Parameter: `w (d_q, d_k)`.

    Example:
        >>> x = jnp.ones((2, 5, 3))
        >>> model = BilinearAttention()
        >>> variables = model.init(jax.random.key(0), x, x, x)
        >>> model.apply(variables, x, x, x).shape
        (2, 5, 3)
    """

    def scores(
        self, query: Float[Array, "*b q d_q"], key: Float[Array, "*b k d_k"]
    ) -> Float[Array, "*b q k"]:
        """Score by a matrix between query and key."""
        w = self.parameter("w", (query.shape[-1], key.shape[-1]), query)
        return ops.bilinear_scores(query, key, w=w)


class LocationAttention(Attention):
    """Attention to positions that the query selects: :func:`attn_jax.ops.location_attention`.

    Parameter: `w (d_q, max_keys)`.

    Attributes:
        max_keys: The length of the longest input.

    Example:
        >>> x = jnp.ones((2, 5, 3))
        >>> model = LocationAttention(max_keys=11)
        >>> variables = model.init(jax.random.key(0), x, x, x)
        >>> model.apply(variables, x, x, x).shape
        (2, 5, 3)
    """

    max_keys: int = 512

    def scores(
        self, query: Float[Array, "*b q d_q"], key: Float[Array, "*b k d_k"]
    ) -> Float[Array, "*b q k"]:
        """Score positions by the query alone."""
        w = self.parameter("w", (query.shape[-1], self.max_keys), query)
        return ops.location_scores(query, key.shape[-2], w=w)

"""Cosine attention as a Flax module."""

import math

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from attn_jax import ops
from attn_jax.nn.attention import Attention


class CosineAttention(Attention):
    """Attention by the angle, with a learned temperature: :func:`attn_jax.ops.cosine_attention`.

    Parameter: `log_temperature`, a number.

    Attributes:
        temperature: Where learning starts. Cosines differ by two at most, so a temperature of one
            could never make a weight more than e² times another.

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
        """Score by the angle."""
        start = nn.initializers.constant(math.log(self.temperature))
        log_temperature = self.param("log_temperature", start, (), jnp.float32)
        return ops.cosine_scores(query, key, temperature=jnp.exp(log_temperature))

"""Pooling of a sequence by attention with a learned query."""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from attn_jax.nn.additive import AdditiveAttention
from attn_jax.nn.multi_head import MultiHeadAttention


class AttentionPooling(nn.Module):
    """Pool a sequence into one vector: a learned query asks, any attention answers.

    The parameter is `query (d,)`; the attention's own parameters and hook points are under
    `attention`.

    Attributes:
        attention: Any attention module of this package.

    Example:
        >>> import jax
        >>> x = jnp.ones((2, 5, 3))
        >>> model = AttentionPooling()
        >>> variables = model.init(jax.random.key(0), x)
        >>> model.apply(variables, x).shape
        (2, 3)

    References:
        Yang et al., "Hierarchical Attention Networks for Document Classification", 2016, section
        2.2, whose context vector is the query. https://aclanthology.org/N16-1174
    """

    attention: nn.Module = AdditiveAttention()

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "*b k d"],
        *,
        mask: Bool[Array, "*b k"] | None = None,
        deterministic: bool = True,
    ) -> Float[Array, "*b d_out"]:
        """Pool.

        Args:
            x: `(*b, k, d)`.
            mask: `(*b, k)`; True = a real token.
            deterministic: Turns the attention's dropout off.

        Returns:
            `(*b, d_out)`: what the attention returns for one query.
        """
        # Of unit length, so that unscaled products do not saturate the weights before they learn.
        initial = nn.initializers.normal(x.shape[-1] ** -0.5)
        query = self.param("query", initial, (x.shape[-1],), jnp.float32)
        query = jnp.broadcast_to(query.astype(x.dtype), (*x.shape[:-2], 1, x.shape[-1]))
        if mask is not None:
            heads = isinstance(self.attention, MultiHeadAttention)
            mask = mask[..., None, None, :] if heads else mask[..., None, :]
        pooled = self.attention(query, x, x, mask=mask, deterministic=deterministic)
        return pooled[..., 0, :]

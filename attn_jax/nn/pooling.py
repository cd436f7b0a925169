"""Pooling of a sequence by attention with a learned query."""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Real

from attn_jax.nn.additive import AdditiveAttention
from attn_jax.ops.shapes import as_float
from attn_jax.renames import renamed_arguments


class AttentionPooling(nn.Module):
    """Pooling of a sequence into one vector, by any attention with a learned query.

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
    @renamed_arguments(mask="key_mask")
    def __call__(
        self,
        x: Real[Array, "*b k d"],
        *,
        key_mask: Bool[Array, "..."] | None = None,
        deterministic: bool = True,
    ) -> Float[Array, "*b d_out"]:
        """Pool the tokens.

        Args:
            x: `(*b, k, d)`.
            key_mask: `(*b, k)`; True = the token exists.
            deterministic: Turns the attention's dropout off.

        Returns:
            `(*b, d_out)`, the context of the learned query.
        """
        (x,) = as_float(x)
        # About unit length: a longer query would saturate unscaled softmaxes before it learns.
        initial = nn.initializers.normal(x.shape[-1] ** -0.5)
        query = self.param("query", initial, (x.shape[-1],), jnp.float32)
        query = jnp.broadcast_to(query.astype(x.dtype), (*x.shape[:-2], 1, x.shape[-1]))
        pooled = self.attention(query, x, x, key_mask=key_mask, deterministic=deterministic)
        # Attentions that go from step to step also return their state.
        context = pooled[0] if isinstance(pooled, tuple) else pooled
        return context[..., 0, :]

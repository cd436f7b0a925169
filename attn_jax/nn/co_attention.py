"""Co-attention of two modalities as a Flax module."""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Real

from attn_jax import ops
from attn_jax.hooks import tap
from attn_jax.nn.attention import sow, visible_pairs


class CoAttention(nn.Module):
    """Two sequences that attend to each other: :func:`attn_jax.ops.co_attention`.

    Parameter: `w (d_1, d_2)`. The hook points are `query` and `key` (the two sequences), `scores`,
    `weights` and `context` of the first, and `back_weights` and `back_context` of the second. If
    each direction needs its own projections, use two :class:`MultiHeadAttention` modules; their
    query may have another width than key and value.

    Attributes:
        normalizer: Maps scores to weights.

    Example:
        >>> import jax
        >>> image, text = jnp.ones((2, 7, 3)), jnp.ones((2, 5, 4))
        >>> model = CoAttention()
        >>> variables = model.init(jax.random.key(0), image, text)
        >>> image_context, text_context = model.apply(variables, image, text)
        >>> image_context.shape, text_context.shape
        ((2, 7, 4), (2, 5, 3))

    References:
        Lu et al., "Hierarchical Question-Image Co-Attention for Visual Question Answering", 2016,
        section 3.3. https://arxiv.org/abs/1606.00061
    """

    normalizer: ops.Normalizer = ops.softmax

    @nn.compact
    def __call__(
        self,
        first: Real[Array, "*b m d_1"],
        second: Real[Array, "*b n d_2"],
        *,
        mask: Bool[Array, "..."] | None = None,
        bias: Real[Array, "..."] | None = None,
        query_mask: Bool[Array, "..."] | None = None,
        key_mask: Bool[Array, "..."] | None = None,
    ) -> tuple[Float[Array, "*b m d_2"], Float[Array, "*b n d_1"]]:
        """Attend both ways.

        Args:
            first: The tokens of one modality.
            second: The tokens of the other.
            mask: True = may attend, both ways; `(*b, m, n)` with ones allowed, `(m, n)` or `(n,)`.
            bias: Added to the affinities, of the same shapes.
            query_mask: `(*b, m)`; True = the token of the first sequence exists.
            key_mask: `(*b, n)`; True = the token of the second sequence exists.

        Returns:
            The context of each sequence.

        Raises:
            ValueError: If shapes do not fit together.
            TypeError: If a mask is not boolean.
        """
        inputs = ops.prepare_pair(
            first, second, mask=mask, bias=bias, query_mask=query_mask, key_mask=key_mask
        )
        first, second = tap("query", inputs.query), tap("key", inputs.key)
        shape = (first.shape[-1], second.shape[-1])
        w = self.param("w", nn.initializers.lecun_normal(), shape, jnp.float32)
        scores = ops.co_attention_scores(first, second, w=w.astype(first.dtype))
        scores = tap("scores", ops.add_bias(scores, inputs.bias))
        weights, back = ops.co_attention_weights(
            scores, mask=inputs.mask, normalizer=self.normalizer
        )
        visible = visible_pairs(inputs, weights.shape)
        visible_back = None if visible is None else jnp.swapaxes(visible, -1, -2)
        weights = tap("weights", weights, visible=visible)
        back = tap("back_weights", back, visible=visible_back)
        sow(self, "weights", weights)
        sow(self, "back_weights", back)
        context, back_context = ops.weigh(weights, second), ops.weigh(back, first)
        return tap("context", context), tap("back_context", back_context)

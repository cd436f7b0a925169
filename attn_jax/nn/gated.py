"""Multi-head attention with an output gate, as a Flax module."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from attn_jax import ops
from attn_jax.hooks import tap
from attn_jax.nn.multi_head import MultiHeadAttention


class GatedAttention(MultiHeadAttention):
    """Attention whose contexts pass a sigmoid gate: :func:`attn_jax.ops.output_gate`.

    Parameters: those of :class:`MultiHead`, and `w_gate`, `(d_q, h, e)` or with `headwise`
    `(d_q, h)`. There is one more hook point, `gate`, `(*b, q, h, e)` or `(*b, q, h)`; `context` is
    the context before the gate.

    Attributes:
        headwise: Whether one number gates a whole head; otherwise each feature has its own.

    Example:
        >>> x = jnp.ones((2, 5, 12))
        >>> model = GatedAttention(num_heads=3)
        >>> model.apply(model.init(jax.random.key(0), x), x).shape
        (2, 5, 12)

    References:
        Qiu et al., "Gated Attention for Large Language Models: Non-linearity, Sparsity, and
        Attention-Sink-Free", 2025, section 2.2. https://arxiv.org/abs/2505.06708
    """

    headwise: bool = False

    def mix_heads(self, context: jax.Array, query: jax.Array) -> jax.Array:
        """Gate the context of each head, by the token of the query."""
        heads = context.shape[-2:-1] if self.headwise else context.shape[-2:]
        initial = nn.initializers.lecun_normal(in_axis=0, out_axis=tuple(range(1, 1 + len(heads))))
        w = self.param("w_gate", initial, (query.shape[-1], *heads), jnp.float32)
        gate = tap("gate", ops.output_gate(query, w=w.astype(query.dtype)))
        return context * (gate[..., None] if self.headwise else gate).astype(context.dtype)

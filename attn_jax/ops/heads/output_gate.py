"""The output gate of gated attention (Qiu 2025), a factor of each head's context."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from attn_jax.ops.shapes import check_features


def output_gate(
    query: Real[Array, "*b q d_q"], *, w: Real[Array, "d_q h *e"]
) -> Float[Array, "*b q h e"] | Float[Array, "*b q h"]:
    r"""Return the gate of each head's context, from the query's token: :math:`\sigma(x W)`.

    The gated context, before the output projection, is :math:`Y' = Y \odot \sigma(X W_\theta)`.
    In the paper's symbols X is the query before it is projected, and :math:`W_\theta` is `w`, with
    a column for each feature of a head (elementwise) or for each head (headwise).

    Args:
        query: `(*b, q, d_q)`.
        w: `(d_q, h, e)` gates each feature, `(d_q, h)` each head as a whole.

    Returns:
        The gate, between 0 and 1, in float32 at least: `(*b, q, h, e)` or `(*b, q, h)`.

    Raises:
        ValueError: If the features do not fit `w`.

    Example:
        >>> output_gate(jnp.ones((5, 3)), w=jnp.zeros((3, 2)))[0].tolist()
        [0.5, 0.5]

    References:
        Qiu et al., "Gated Attention for Large Language Models: Non-linearity, Sparsity, and
        Attention-Sink-Free", 2025, section 2.2. https://arxiv.org/abs/2505.06708
    """
    check_features("query", query.shape[-1], "w", w.shape[0])
    dtype = jnp.promote_types(query.dtype, jnp.float32)
    axes = "...qd,dhe->...qhe" if w.ndim == 3 else "...qd,dh->...qh"
    return jax.nn.sigmoid(jnp.einsum(axes, query, w, preferred_element_type=dtype))

"""Query-key normalization (Dehghani 2023), which bounds the scores."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from attn_jax.ops.shapes import as_float, check_axes, check_features


def query_key_norm(
    query: Real[Array, "*b q h d"],
    key: Real[Array, "*b k h_k d"],
    *,
    query_scale: Real[Array, " d"] | None = None,
    key_scale: Real[Array, " d"] | None = None,
    epsilon: float = 1e-6,
) -> tuple[Float[Array, "*b q h d"], Float[Array, "*b k h_k d"]]:
    r"""Normalize each head of queries and keys to a root mean square of one.

    .. math:: q \mapsto g_q \odot \frac{q}{\sqrt{\tfrac{1}{d} \sum_i q_i^2 + \epsilon}}, \qquad
              k \mapsto g_k \odot \frac{k}{\sqrt{\tfrac{1}{d} \sum_i k_i^2 + \epsilon}}

    Apply it before rotary positions, if any, and pass the result to
    :func:`attn_jax.ops.attention`. Without scales its scores lie within :math:`\pm\sqrt{d}`.

    Args:
        query: `(*b, q, h, d)`.
        key: `(*b, k, h_k, d)`.
        query_scale: :math:`g_q`, shared by the heads; one if None.
        key_scale: :math:`g_k`, shared by the heads; one if None.
        epsilon: Added to the mean square, so that a vector of zeros stays zero.

    Returns:
        Query and key in their own types; they are normalized in float32.

    Raises:
        ValueError: If a scale does not fit the features.

    Example:
        >>> query, key = query_key_norm(jnp.full((1, 1, 4), 9.0), jnp.zeros((1, 1, 4)))
        >>> query.round(3).tolist(), key.tolist()
        ([[[1.0, 1.0, 1.0, 1.0]]], [[[0.0, 0.0, 0.0, 0.0]]])

    References:
        Henry et al., "Query-Key Normalization for Transformers", 2020, whose norm is the
        Euclidean one. https://arxiv.org/abs/2010.04245
        Dehghani et al., "Scaling Vision Transformers to 22 Billion Parameters", 2023, section 2;
        the root mean square without a mean is that of Qwen 3 and Gemma 3.
        https://arxiv.org/abs/2302.05442
    """
    check_features("key", key.shape[-1], "query", query.shape[-1])
    return (
        rms_normalize(query, query_scale, epsilon, "query_scale"),
        rms_normalize(key, key_scale, epsilon, "key_scale"),
    )


def rms_normalize(
    x: jax.Array, scale: jax.Array | None, epsilon: float, name: str = "scale"
) -> jax.Array:
    """Divide by the root mean square over the last axis, and multiply by a scale.

    Raises:
        ValueError: If the scale does not fit the features.
    """
    (x,) = as_float(x)
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    normal = wide * jax.lax.rsqrt(jnp.mean(wide**2, axis=-1, keepdims=True) + epsilon)
    if scale is not None:
        check_axes(**{name: (scale, "d")})
        check_features(name, scale.shape[-1], "the head", x.shape[-1])
        normal = normal * scale.reshape((1,) * (x.ndim - 1) + scale.shape)
    return normal.astype(x.dtype)

"""The fused attention under the signature that Flax's own modules call."""

import jax.numpy as jnp
from jax.core import Tracer
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Real

from attn_jax.ops.fused.attention import attention
from attn_jax.ops.shapes import HEAD_AXES, align_to_scores


def attention_fn(
    query: Real[Array, "*b q h d"],
    key: Real[Array, "*b k h d"],
    value: Real[Array, "*b k h e"],
    bias: Array | None = None,
    mask: Array | None = None,
    *,
    key_mask: Bool[Array, "..."] | None = None,
    is_causal: bool = False,
    deterministic: bool = False,
    dropout_rate: float = 0.0,
    dropout_rng: object = None,
    broadcast_dropout: bool = True,
    dtype: DTypeLike | None = None,
    precision: object = None,
    module: object = None,
) -> Real[Array, "*b q h e"]:
    """Attend, observably, inside of a stock module of Flax.

    `flax.linen.MultiHeadDotProductAttention(..., attention_fn=ops.attention_fn)`, or the same of
    `flax.nnx.MultiHeadAttention`, computes what it did, and has the hook points of
    :func:`attention`. A query that may attend to nothing gets zeros, and not a uniform mean.

    Args:
        query: `(*b, q, h, d)`.
        key: `(*b, k, h, d)`.
        value: `(*b, k, h, e)`.
        bias: Added to the scores; of the rank of the scores, `(q, k)` or `(k,)`.
        mask: Of such a rank too. Booleans are True where a query may attend. Numbers, as Flax's
            `make_causal_mask` and its decoding cache give them, are nonzero there; if any of them
            is negative, they are a bias (0 and -1e9, say) and are added to the scores.
        key_mask: `(*b, k)`; True = the key exists.
        is_causal: Let each query see only the keys up to its own position.
        deterministic: Whether dropout is off.
        dropout_rate: Must be 0 unless `deterministic`.
        dropout_rng: Not used.
        broadcast_dropout: Not used.
        dtype: The type to compute in; that of the arguments if None.
        precision: Must be None.
        module: Must be None: weights are captured, not sown.

    Returns:
        The context.

    Raises:
        ValueError: If dropout is active, or weights are to be sown, or a precision is given, or
            shapes do not fit together.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from flax import linen
        >>> from attn_jax.hooks import capture
        >>> x = jnp.ones((1, 5, 4))
        >>> model = linen.MultiHeadDotProductAttention(num_heads=2, attention_fn=attention_fn)
        >>> variables = model.init(jax.random.key(0), x)
        >>> _, captured = capture(model.apply, "weights")(variables, x)
        >>> captured["weights"].shape
        (1, 2, 5, 5)
    """
    del dropout_rng, broadcast_dropout
    if dropout_rate and not deterministic:
        raise ValueError(
            f"ops.attention_fn has no dropout, and dropout_rate={dropout_rate} is active; set "
            "deterministic=True, or use attn_jax.nn.MultiHeadAttention."
        )
    if module is not None:
        raise ValueError('sow_weights is not supported; capture(fn, "*.weights") reads them.')
    if precision is not None:
        raise ValueError(
            f"precision={precision} is not supported; jax_default_matmul_precision is."
        )
    if dtype is not None:
        query, key, value = (x.astype(dtype) for x in (query, key, value))
    shape = (*query.shape[:-3], query.shape[-2], query.shape[-3], key.shape[-3])
    if bias is not None:
        bias = align_to_scores("bias", bias, shape, HEAD_AXES)
    if mask is not None:
        mask, more = _mask_or_bias(align_to_scores("mask", mask, shape, HEAD_AXES))
        if more is not None:
            bias = more if bias is None else bias + more
    return attention(query, key, value, bias=bias, mask=mask, key_mask=key_mask, causal=is_causal)


def _mask_or_bias(mask: Array) -> tuple[Array | None, Array | None]:
    """Read numbers, any of which is negative, as a bias, and all others by their nonzeros."""
    if mask.dtype == jnp.bool_:
        return mask, None
    is_bias = (mask < 0).any()
    if isinstance(is_bias, Tracer):
        return (mask != 0) | is_bias, jnp.where(is_bias, mask, 0)
    return (None, mask) if is_bias else (mask != 0, None)

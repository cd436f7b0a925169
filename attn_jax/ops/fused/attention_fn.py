"""The fused attention under the signature that Flax's own modules call."""

from jax.typing import DTypeLike
from jaxtyping import Array, Float

from attn_jax.ops.fused.attention import attention


def attention_fn(
    query: Float[Array, "*b q h d"],
    key: Float[Array, "*b k h d"],
    value: Float[Array, "*b k h e"],
    bias: Array | None = None,
    mask: Array | None = None,
    *,
    is_causal: bool = False,
    deterministic: bool = False,
    dropout_rate: float = 0.0,
    dropout_rng: object = None,
    broadcast_dropout: bool = True,
    dtype: DTypeLike | None = None,
    precision: object = None,
    module: object = None,
) -> Float[Array, "*b q h e"]:
    """Attend, observably, inside of a stock module of Flax.

    `flax.linen.MultiHeadDotProductAttention(..., attention_fn=ops.attention_fn)`, or the same of
    `flax.nnx.MultiHeadAttention`, computes what it did, and has the hook points of
    :func:`attention`. A query that may attend to nothing gets zeros, and not a uniform mean.

    Args:
        query: `(*b, q, h, d)`.
        key: `(*b, k, h, d)`.
        value: `(*b, k, h, e)`.
        bias: added to the scores.
        mask: of any type; what is not zero may be attended to.
        is_causal: let each query see only the keys up to its own position.
        deterministic: whether dropout is off.
        dropout_rate: must be 0 unless `deterministic`.
        dropout_rng: not used.
        broadcast_dropout: not used.
        dtype: what to compute in, that of the arguments if None.
        precision: must be None.
        module: must be None: weights are captured, not sown.

    Returns:
        The context.

    Raises:
        ValueError: if dropout is active, or weights shall be sown, or a precision is asked for.

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
    mask = None if mask is None else mask.astype(bool)
    return attention(query, key, value, bias=bias, mask=mask, causal=is_causal)

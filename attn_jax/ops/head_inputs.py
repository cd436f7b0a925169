"""What attentions in the layout `(*b, tokens, heads, features)` share at their boundary."""

import jax

from attn_jax.ops.heads.multi_head import hide_unseen_tokens
from attn_jax.ops.shapes import check_attention_inputs


def check_head_inputs(query: jax.Array, key: jax.Array, value: jax.Array) -> None:
    """Refuse queries, keys and values whose batch axes and tokens do not fit together.

    Args:
        query: `(*b, q, h, d)`.
        key: `(*b, k, h_k, d)`.
        value: `(*b, k, h_v, e)`.

    Raises:
        ValueError: If a rank is below three, or batch axes or tokens do not fit together.
    """
    for name, array in (("query", query), ("key", key), ("value", value)):
        if array.ndim < 3:
            raise ValueError(
                f"{name} of shape {array.shape} needs at least three axes, (*batch, tokens, heads, "
                f"features); a single head is {name}[..., None, :]."
            )
    check_attention_inputs(_joined(query), _joined(key), _joined(value))


def hide_unseen_heads(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    num_heads: int,
    *,
    mask: jax.Array | None,
    bias: jax.Array | None,
) -> tuple[jax.Array, jax.Array]:
    """Put zeros into the keys and values that no query of any head may see.

    Args:
        query: `(*b, q, h, d)`.
        key: `(*b, k, h_k, d)`.
        value: `(*b, k, h_v, e)`.
        num_heads: How many heads the scores have.
        mask: Broadcastable to `(*b, num_heads, q, k)`.
        bias: Broadcastable to `(*b, num_heads, q, k)`; minus infinity hides.

    Returns:
        Keys and values.

    Raises:
        ValueError: If mask or bias do not broadcast to the scores.
        TypeError: If the mask is not boolean.
    """
    hidden_key, hidden_value = hide_unseen_tokens(
        _joined(query), _joined(key), _joined(value), num_heads, mask=mask, bias=bias
    )
    return hidden_key.reshape(key.shape), hidden_value.reshape(value.shape)


def _joined(x: jax.Array) -> jax.Array:
    return x.reshape(*x.shape[:-2], x.shape[-2] * x.shape[-1])

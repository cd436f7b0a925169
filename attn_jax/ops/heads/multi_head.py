"""Multi-head attention (Vaswani 2017) over the scaled dot product."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attn_jax.ops.masks import visible_keys
from attn_jax.ops.normalizers.softmax import Normalizer, softmax
from attn_jax.ops.scores.dot_product import scaled_dot_product_scores
from attn_jax.ops.shapes import (
    check_attention_inputs,
    check_broadcast,
    check_features,
)
from attn_jax.ops.stages import add_bias, weigh


def multi_head_scores(
    query: Float[Array, "*b q h d"],
    key: Float[Array, "*b k h_k d"],
    *,
    scale: float | Float[Array, ""] | None = None,
) -> Float[Array, "*b h q k"]:
    r"""Scaled dot-product scores of every head, in the layout `(*b, tokens, heads, features)`.

    Args:
        query: `(*b, q, h, d)`.
        key: `(*b, k, h_k, d)`; where `h_k` divides `h`, each serves a group of query heads.
        scale: What multiplies the inner product; :math:`1/\sqrt{d}` if None.

    Returns:
        `(*b, h, q, k)`, in float32 at least.

    Raises:
        ValueError: If the heads or the features of query and key do not fit.

    Example:
        >>> multi_head_scores(jnp.ones((2, 3, 4)), jnp.ones((5, 1, 4))).shape
        (3, 2, 5)
    """
    num_heads = query.shape[-2]
    key = share_heads("key", key, num_heads)
    return scaled_dot_product_scores(
        jnp.moveaxis(query, -2, -3), jnp.moveaxis(key, -2, -3), scale=scale
    )


def multi_head_weigh(
    weights: Float[Array, "*b h q k"], value: Float[Array, "*b k h_k e"]
) -> Float[Array, "*b q h e"]:
    """Sum the values of every head, in the layout `(*b, tokens, heads, features)`.

    Example:
        >>> multi_head_weigh(jnp.ones((2, 3, 5)), jnp.ones((5, 1, 4))).shape
        (3, 2, 4)
    """
    value = share_heads("value", value, weights.shape[-3])
    return jnp.moveaxis(weigh(weights, jnp.moveaxis(value, -2, -3)), -3, -2)


def share_heads(name: str, array: jax.Array, num_heads: int) -> jax.Array:
    """Repeat each key or value head for its group of query heads: `(*b, k, h, d)`.

    Raises:
        ValueError: If the heads do not divide the query heads.
    """
    heads = array.shape[-2]
    if num_heads % heads:
        raise ValueError(
            f"{name} has {heads} heads, which do not divide the {num_heads} heads of query; each "
            "key and value head serves a whole group of query heads."
        )
    return array if heads == num_heads else jnp.repeat(array, num_heads // heads, axis=-2)


def multi_head_attention(
    query: Float[Array, "*b q d_q"],
    key: Float[Array, "*b k d_k"],
    value: Float[Array, "*b k d_v"],
    *,
    w_query: Float[Array, "d_q h d"],
    w_key: Float[Array, "d_k h_k d"],
    w_value: Float[Array, "d_v h_k e"],
    w_out: Float[Array, "h e d_out"],
    scale: float | Float[Array, ""] | None = None,
    mask: Bool[Array, "..."] | None = None,
    bias: Float[Array, "..."] | None = None,
    normalizer: Normalizer = softmax,
) -> tuple[Float[Array, "*b q d_out"], Float[Array, "*b h q k"]]:
    r"""Attend with several heads, each in a projection of its own, and join what they bring.

    .. math:: \operatorname{head}_i = \operatorname{attention}(Q W^Q_i, K W^K_i, V W^V_i), \qquad
              \operatorname{MultiHead} = [\operatorname{head}_1; \ldots; \operatorname{head}_h] W^O

    Args:
        query: `(*b, q, d_q)`.
        key: `(*b, k, d_k)`.
        value: `(*b, k, d_v)`.
        w_query: :math:`W^Q`.
        w_key: :math:`W^K`; with fewer heads than `w_query`, each serves a group of query heads.
        w_value: :math:`W^V`, of as many heads as `w_key`.
        w_out: :math:`W^O`.
        scale: What multiplies the inner product; :math:`1/\sqrt{d}` if None.
        mask: Broadcastable to `(*b, h, q, k)`; True = may attend.
        bias: Broadcastable to `(*b, h, q, k)`, added to the scores.
        normalizer: From scores to weights.

    Returns:
        The output `(*b, q, d_out)` and the weights `(*b, h, q, k)`.

    Raises:
        ValueError: If shapes do not fit together.
        TypeError: If the mask is not boolean.

    Example:
        >>> x = jnp.ones((2, 5, 6))
        >>> w, w_out = jnp.ones((6, 3, 4)), jnp.ones((3, 4, 6))
        >>> out, weights = multi_head_attention(
        ...     x, x, x, w_query=w, w_key=w, w_value=w, w_out=w_out
        ... )
        >>> out.shape, weights.shape
        ((2, 5, 6), (2, 3, 5, 5))

    References:
        Vaswani et al., "Attention Is All You Need", 2017, section 3.2.2.
        https://arxiv.org/abs/1706.03762
    """
    check_attention_inputs(query, key, value)
    for name, array, parameter, weight in (
        ("query", query, "w_query", w_query),
        ("key", key, "w_key", w_key),
        ("value", value, "w_value", w_value),
    ):
        check_features(name, array.shape[-1], parameter, weight.shape[0])
    key, value = hide_unseen_tokens(query, key, value, w_query.shape[1], mask=mask, bias=bias)
    query, key, value = (
        jnp.einsum("...td,dhe->...the", x, w)
        for x, w in ((query, w_query), (key, w_key), (value, w_value))
    )
    scores = add_bias(multi_head_scores(query, key, scale=scale), bias)
    weights = normalizer(scores, mask=mask)
    return jnp.einsum("...qhe,hed->...qd", multi_head_weigh(weights, value), w_out), weights


def hide_unseen_tokens(
    query: Float[Array, "*b q d_q"],
    key: Float[Array, "*b k d_k"],
    value: Float[Array, "*b k d_v"],
    num_heads: int,
    *,
    mask: Bool[Array, "..."] | None,
    bias: Float[Array, "..."] | None,
) -> tuple[Float[Array, "*b k d_k"], Float[Array, "*b k d_v"]]:
    """Put zeros into the tokens that no query of any head may see; see `attend.hide_unseen`.

    Args:
        query: `(*b, q, d_q)`.
        key: `(*b, k, d_k)`, before it is split into heads.
        value: `(*b, k, d_v)`.
        num_heads: h.
        mask: Broadcastable to `(*b, h, q, k)`.
        bias: Broadcastable to `(*b, h, q, k)`; minus infinity hides.

    Returns:
        Keys and values.

    Raises:
        ValueError: If mask or bias do not broadcast to the scores.
        TypeError: If the mask is not boolean.
    """
    shape = (*query.shape[:-2], num_heads, query.shape[-2], key.shape[-2])
    for name, array in (("mask", mask), ("bias", bias)):
        if array is not None:
            check_broadcast(name, array, shape, "(*batch, heads, queries, keys)")
    seen = visible_keys(mask, bias)
    if seen is None:
        return key, value
    seen = seen.any(axis=-2) if seen.ndim > 1 else seen
    seen = jnp.broadcast_to(seen, key.shape[:-1])[..., None]
    return jnp.where(seen, key, 0), jnp.where(seen, value, 0)


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

"""Multi-head attention (Vaswani 2017) over the scaled dot product."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Real

from attn_jax.ops.normalizers.softmax import Normalizer, softmax
from attn_jax.ops.scores.dot_product import scaled_dot_product_scores
from attn_jax.ops.shapes import check_features
from attn_jax.ops.stages import add_bias, prepare, weigh


def multi_head_scores(
    query: Real[Array, "*b q h d"],
    key: Real[Array, "*b k h_k d"],
    *,
    scale: float | Real[Array, ""] | None = None,
) -> Float[Array, "*b h q k"]:
    r"""Score by the scaled dot product in each head, in the layout `(*b, tokens, heads, features)`.

    Args:
        query: `(*b, q, h, d)`.
        key: `(*b, k, h_k, d)`; with `h_k < h`, each key head serves a group of query heads.
        scale: Factor of the inner product; :math:`1/\sqrt{d}` if None.

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
    weights: Real[Array, "*b h q k"], value: Real[Array, "*b k h_k e"]
) -> Float[Array, "*b q h e"]:
    """Weigh the values of each head, in the layout `(*b, tokens, heads, features)`.

    Example:
        >>> multi_head_weigh(jnp.ones((2, 3, 5)), jnp.ones((5, 1, 4))).shape
        (3, 2, 4)
    """
    value = share_heads("value", value, weights.shape[-3])
    return jnp.moveaxis(weigh(weights, jnp.moveaxis(value, -2, -3)), -3, -2)


def share_heads(name: str, array: jax.Array, num_heads: int) -> jax.Array:
    """Repeat each key or value head for its group of query heads: `(*b, k, h, d)`.

    Args:
        name: `key` or `value`, for the error.
        array: `(*b, k, h_k, d)`.
        num_heads: h, the query heads.

    Raises:
        ValueError: If the heads do not divide the query heads.
    """
    heads = array.shape[-2]
    if num_heads % heads:
        raise ValueError(
            f"{name} has {heads} heads, which do not divide the {num_heads} heads of query; every "
            "key and value head must serve a group of equal size."
        )
    return array if heads == num_heads else jnp.repeat(array, num_heads // heads, axis=-2)


def multi_head_attention(
    query: Real[Array, "*b q d_q"],
    key: Real[Array, "*b k d_k"],
    value: Real[Array, "*b k d_v"],
    *,
    w_query: Real[Array, "d_q h d"],
    w_key: Real[Array, "d_k h_k d"],
    w_value: Real[Array, "d_v h_k e"],
    w_out: Real[Array, "h e d_out"],
    scale: float | Real[Array, ""] | None = None,
    mask: Bool[Array, "..."] | None = None,
    bias: Real[Array, "..."] | None = None,
    key_mask: Bool[Array, "..."] | None = None,
    normalizer: Normalizer = softmax,
) -> tuple[Float[Array, "*b q d_out"], Float[Array, "*b h q k"]]:
    r"""Attend with several heads, each with its own projections, and combine their contexts.

    .. math:: \operatorname{head}_i = \operatorname{attention}(Q W^Q_i, K W^K_i, V W^V_i), \qquad
              \operatorname{MultiHead} = [\operatorname{head}_1; \ldots; \operatorname{head}_h] W^O

    Args:
        query: `(*b, q, d_q)`.
        key: `(*b, k, d_k)`.
        value: `(*b, k, d_v)`.
        w_query: :math:`W^Q`.
        w_key: :math:`W^K`; with fewer heads, each serves a group of query heads.
        w_value: :math:`W^V`, of as many heads as `w_key`.
        w_out: :math:`W^O`.
        scale: Factor of the inner product; :math:`1/\sqrt{d}` if None.
        mask: True = may attend; `(*b, h, q, k)` with ones allowed, `(q, k)` or `(k,)`.
        bias: Added to the scores, of the same shapes.
        key_mask: `(*b, k)`; True = the key exists.
        normalizer: Maps scores to weights.

    Returns:
        The output `(*b, q, d_out)` and the weights `(*b, h, q, k)`.

    Raises:
        ValueError: If shapes do not fit together.
        TypeError: If a mask is not boolean.

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
    for name, array, parameter, weight in (
        ("query", query, "w_query", w_query),
        ("key", key, "w_key", w_key),
        ("value", value, "w_value", w_value),
    ):
        check_features(name, array.shape[-1], parameter, weight.shape[0])
    query, key, value, mask, bias = prepare(
        query, key, value, mask=mask, bias=bias, key_mask=key_mask, num_heads=w_query.shape[1]
    )
    query, key, value = (
        jnp.einsum("...td,dhe->...the", x, w)
        for x, w in ((query, w_query), (key, w_key), (value, w_value))
    )
    scores = add_bias(multi_head_scores(query, key, scale=scale), bias)
    weights = normalizer(scores, mask=mask)
    return jnp.einsum("...qhe,hed->...qd", multi_head_weigh(weights, value), w_out), weights

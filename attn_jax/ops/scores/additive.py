"""Additive attention (Bahdanau 2015)."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Real

from attn_jax.ops.normalizers.softmax import Normalizer, softmax
from attn_jax.ops.shapes import check_axes, check_features
from attn_jax.ops.stages import attend, prepare


def additive_scores(
    query: Real[Array, "*b q d_q"],
    key: Real[Array, "*b k d_k"],
    *,
    w_query: Real[Array, "d_q a"],
    w_key: Real[Array, "d_k a"] | None,
    v: Real[Array, " a"],
    b: Real[Array, " a"] | None = None,
    block_size: int | None = None,
) -> Float[Array, "*b q k"]:
    r"""Score by one hidden layer: :math:`s_{ij} = v^\top \tanh(W_q q_i + W_k k_j + b)`.

    Args:
        query: `(*b, q, d_q)`.
        key: `(*b, k, d_k)`.
        w_query: Projects queries to the hidden layer.
        w_key: Projects keys to the hidden layer; None if they are projected already. A decoder
            that attends to the same keys at each step projects them once.
        v: Weighs the hidden units.
        b: Bias of the hidden layer, if any.
        block_size: The number of queries to score at once; all if None. Otherwise only the hidden
            layer of one block, `(*b, block_size, k, a)`, is in memory, and gradients compute it
            again. On CPUs a block of one query is fastest.

    Returns:
        Scores in float32 at least.

    Raises:
        ValueError: If the features do not fit the parameters, or `block_size` is not positive.

    Example:
        >>> one = jnp.ones((1, 1))
        >>> scores = additive_scores(one, one, w_query=one, w_key=one, v=jnp.ones(1))
        >>> round(float(scores[0, 0]), 4)  # tanh(2)
        0.964
    """
    check_axes(w_query=(w_query, "d_q a"), w_key=(w_key, "d_k a"), v=(v, "a"), b=(b, "a"))
    check_features("query", query.shape[-1], "w_query", w_query.shape[0])
    if w_key is None:
        check_features("key", key.shape[-1], "w_query", w_query.shape[1])
    else:
        check_features("key", key.shape[-1], "w_key", w_key.shape[0])
        check_features("w_key", w_key.shape[1], "w_query", w_query.shape[1])
    check_features("v", v.shape[0], "w_query", w_query.shape[1])
    if block_size is not None and block_size < 1:
        raise ValueError(f"block_size={block_size} must be at least 1, a number of queries.")
    query, key = project_pair(query, key, w_query, w_key, b)
    if block_size is None:
        return _score_hidden(query[..., :, None, :] + key[..., None, :, :], v)
    return _scores_by_block(query, key, v, block_size)


def _score_hidden(hidden: jax.Array, v: jax.Array) -> jax.Array:
    """Score the hidden layer, given before its activation."""
    dtype = jnp.promote_types(hidden.dtype, jnp.float32)
    return jnp.einsum("...a,a->...", jnp.tanh(hidden), v, preferred_element_type=dtype)


# Outside of `jit` a loop whose body is a new function would compile anew at each call.
@functools.partial(jax.jit, static_argnames="size", inline=True)
def _scores_by_block(query: jax.Array, key: jax.Array, v: jax.Array, size: int) -> jax.Array:
    """Score one block of queries at a time, so that the hidden layer of all pairs never exists."""

    @jax.checkpoint
    def score(query):
        return _score_hidden(query[..., None, :] + key, v)

    queries = jnp.moveaxis(query, -2, 0)
    scores = jax.lax.map(score, queries, batch_size=None if size == 1 else size)
    return jnp.moveaxis(scores, 0, -2)


def project_pair(
    query: jax.Array,
    key: jax.Array,
    w_query: jax.Array,
    w_key: jax.Array | None,
    b: jax.Array | None,
) -> tuple[jax.Array, jax.Array]:
    """Project queries and keys for a layer on the joined pair: `(*b, q, a)` and `(*b, k, a)`.

    A matrix times the joined vectors is the sum of its halves times each vector, so every query and
    every key is projected once, not once per pair.
    """
    if w_key is not None:
        key = key @ w_key
    if b is not None:
        key = key + b.reshape((1,) * (key.ndim - 1) + b.shape)
    return query @ w_query, key


def pairwise_hidden(
    query: jax.Array, key: jax.Array, w_query: jax.Array, w_key: jax.Array, b: jax.Array | None
) -> jax.Array:
    """Return the first layer on the joined query and key, for every pair: `(*b, q, k, a)`."""
    query, key = project_pair(query, key, w_query, w_key, b)
    return query[..., :, None, :] + key[..., None, :, :]


def additive_attention(
    query: Real[Array, "*b q d_q"],
    key: Real[Array, "*b k d_k"],
    value: Real[Array, "*b k d_v"],
    *,
    w_query: Real[Array, "d_q a"],
    w_key: Real[Array, "d_k a"] | None,
    v: Real[Array, " a"],
    b: Real[Array, " a"] | None = None,
    block_size: int | None = None,
    mask: Bool[Array, "..."] | None = None,
    bias: Real[Array, "..."] | None = None,
    key_mask: Bool[Array, "..."] | None = None,
    normalizer: Normalizer = softmax,
) -> tuple[Float[Array, "*b q d_v"], Float[Array, "*b q k"]]:
    r"""Attend by a small network that scores each pair of query and key.

    .. math:: w_i = \operatorname{softmax}_j\big(v^\top \tanh(W_q q_i + W_k k_j + b)\big),
              \qquad c_i = \sum_j w_{ij} v_j

    In Bahdanau's symbols :math:`s_{i-1}` is the query, :math:`h_j` key and value,
    :math:`W_a` is `w_query`, :math:`U_a` is `w_key`, and :math:`v_a` is `v`.

    Args:
        query: `(*b, q, d_q)`.
        key: `(*b, k, d_k)`.
        value: `(*b, k, d_v)`.
        w_query: Projects queries to the hidden layer.
        w_key: Projects keys to the hidden layer; None if they are projected already. A decoder
            that attends to the same keys at each step projects them once.
        v: Weighs the hidden units.
        b: Bias of the hidden layer, if any.
        block_size: The number of queries to score at once; see :func:`additive_scores`.
        mask: True = may attend; `(*b, q, k)` with ones allowed, `(q, k)` or `(k,)`.
        bias: Added to the scores, of the same shapes.
        key_mask: `(*b, k)`; True = the key exists.
        normalizer: Maps scores to weights.

    Returns:
        The context `(*b, q, d_v)` and the weights `(*b, q, k)`.

    Raises:
        ValueError: If shapes do not fit together.
        TypeError: If a mask is not boolean.

    Example:
        >>> query, key = jnp.ones((2, 3)), jnp.ones((5, 4))
        >>> w_query, w_key, v = jnp.ones((3, 7)), jnp.ones((4, 7)), jnp.ones(7)
        >>> context, weights = additive_attention(
        ...     query, key, key, w_query=w_query, w_key=w_key, v=v
        ... )
        >>> context.shape, weights.shape
        ((2, 4), (2, 5))

    References:
        Bahdanau, Cho and Bengio, "Neural Machine Translation by Jointly Learning to Align and
        Translate", 2015, section 3.1 and appendix A.1.2. https://arxiv.org/abs/1409.0473
    """
    query, key, value, mask, bias = prepare(
        query, key, value, mask=mask, bias=bias, key_mask=key_mask
    )
    scores = additive_scores(
        query, key, w_query=w_query, w_key=w_key, v=v, b=b, block_size=block_size
    )
    return attend(scores, value, mask=mask, bias=bias, normalizer=normalizer)

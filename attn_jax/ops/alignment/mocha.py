"""Monotonic chunkwise attention, MoChA (Chiu and Raffel 2018)."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Real

from attn_jax.ops.alignment.monotonic import continue_from, monotonic_scores, soft_monotonic
from attn_jax.ops.normalizers.softmax import Normalizer, masked_scores, softmax
from attn_jax.ops.scores.additive import additive_scores
from attn_jax.ops.stages import add_bias, prepare, weigh
from attn_jax.renames import renamed_arguments


def chunkwise_weights(
    alignment: Real[Array, "*b q k"],
    chunk_scores: Real[Array, "*b q k"],
    width: int,
    *,
    mask: Bool[Array, "..."] | None = None,
) -> Float[Array, "*b q k"]:
    r"""Spread the weight of each key over a chunk: the `width` keys that end there.

    .. math:: \beta_{ij} = \sum_{l=j}^{j+w-1} \alpha_{il}
              \frac{\exp u_{ij}}{\sum_{m=l-w+1}^{l} \exp u_{im}}

    Each chunk has its own softmax, so a large score cannot suppress the chunks elsewhere.

    Args:
        alignment: :math:`\alpha`, from :func:`soft_monotonic` or :func:`hard_monotonic`.
        chunk_scores: :math:`u`.
        width: :math:`w`, the keys of a chunk.
        mask: True = may attend; `(*b, q, k)` with ones allowed, `(q, k)` or `(k,)`.

    Returns:
        :math:`\beta`, whose rows sum to those of the alignment; float32 at least.

    Raises:
        ValueError: If the width is not positive, or shapes do not fit together.
        TypeError: If the mask is not boolean.

    Example:
        >>> chunkwise_weights(jnp.array([[0.0, 0.0, 1.0]]), jnp.zeros((1, 3)), 2).tolist()
        [[0.0, 0.5, 0.5]]
    """
    if width < 1:
        raise ValueError(f"width={width} must be at least 1, the number of keys in a chunk.")
    if alignment.shape != chunk_scores.shape:
        raise ValueError(
            f"alignment has shape {alignment.shape} and chunk_scores {chunk_scores.shape}; both "
            "must be (*batch, queries, keys)."
        )
    scores = masked_scores(chunk_scores, mask)
    num_keys, before = scores.shape[-1], [(0, 0)] * (scores.ndim - 1)
    padded = jnp.pad(scores, [*before, (width - 1, 0)], constant_values=-jnp.inf)
    # One softmax per chunk end: chunks[..., l, i] is the score of key l - (width - 1) + i.
    chunks = jnp.stack([padded[..., i : i + num_keys] for i in range(width)], axis=-1)
    # Each key sums its shares of the `width` chunks that contain it, read along the diagonals.
    spread = jnp.pad(alignment[..., None] * softmax(chunks), [*before, (0, width - 1), (0, 0)])
    shares = [spread[..., width - 1 - i : width - 1 - i + num_keys, i] for i in range(width)]
    return jnp.sum(jnp.stack(shares), axis=0)


@renamed_arguments(previous_alignment="state", monotonic="w_query", chunk="chunk_w_query")
def mocha_attention(
    query: Real[Array, "*b q d_q"],
    key: Real[Array, "*b k d_k"],
    value: Real[Array, "*b k d_v"],
    *,
    w_query: Real[Array, "d_q a"],
    w_key: Real[Array, "d_k a"],
    v: Real[Array, " a"],
    b: Real[Array, " a"] | None = None,
    gain: float | Real[Array, ""] = 1.0,
    offset: float | Real[Array, ""] = 0.0,
    chunk_w_query: Real[Array, "d_q a_chunk"],
    chunk_w_key: Real[Array, "d_k a_chunk"],
    chunk_v: Real[Array, " a_chunk"],
    chunk_b: Real[Array, " a_chunk"] | None = None,
    width: int,
    state: Real[Array, "*b k"] | None = None,
    mask: Bool[Array, "..."] | None = None,
    bias: Real[Array, "..."] | None = None,
    key_mask: Bool[Array, "..."] | None = None,
    normalizer: Normalizer = soft_monotonic,
) -> tuple[Float[Array, "*b q d_v"], Float[Array, "*b q k"]]:
    r"""Attend softly to the last few keys up to where a monotonic reader stops.

    .. math:: \alpha_i = \operatorname{monotonic}(s_i, \alpha_{i-1}), \qquad
              \beta_i = \operatorname{chunkwise}(\alpha_i, u_i), \qquad
              c_i = \sum_j \beta_{ij} v_j

    Both scores are additive, with parameters of their own: :func:`monotonic_scores` for the reader,
    :func:`additive_scores` for the chunks. To decode step by step, call the stages
    (:func:`monotonic_scores`, :func:`hard_monotonic`, :func:`chunkwise_weights`): the state of a
    step is the reader's weights, which are not the weights returned here.

    Args:
        query: `(*b, q, d_q)`, in order.
        key: `(*b, k, d_k)`, in order.
        value: `(*b, k, d_v)`.
        w_query: Projects queries to the hidden layer of the reader's score.
        w_key: Projects keys to the hidden layer of the reader's score.
        v: Weighs the hidden units of the reader's score.
        b: Bias of the reader's hidden layer, if any.
        gain: Gain of the reader's score, as in :func:`monotonic_scores`.
        offset: Offset of the reader's score.
        chunk_w_query: Projects queries to the hidden layer of the chunks' score.
        chunk_w_key: Projects keys to the hidden layer of the chunks' score.
        chunk_v: Weighs the hidden units of the chunks' score.
        chunk_b: Bias of the chunks' hidden layer, if any.
        width: :math:`w`, the keys of a chunk.
        state: :math:`\alpha_0`, the distribution of the reader's position before the first query;
            at the first key if None.
        mask: True = may attend; `(*b, q, k)` with ones allowed, `(q, k)` or `(k,)`.
        bias: Added to the reader's scores, of the same shapes; minus infinity hides.
        key_mask: `(*b, k)`; True = the key exists.
        normalizer: `soft_monotonic` in training; `hard_monotonic` afterwards.

    Returns:
        The context `(*b, q, d_v)` and the weights :math:`\beta`, `(*b, q, k)`.

    Raises:
        ValueError: If shapes do not fit together.
        TypeError: If a mask is not boolean.

    Example:
        >>> query, key = jnp.ones((2, 3)), jnp.ones((5, 4))
        >>> w_query, w_key, v = jnp.ones((3, 7)), jnp.ones((4, 7)), jnp.ones(7)
        >>> context, weights = mocha_attention(
        ...     query, key, key, w_query=w_query, w_key=w_key, v=v,
        ...     chunk_w_query=w_query, chunk_w_key=w_key, chunk_v=v, width=2,
        ... )
        >>> context.shape, weights.shape
        ((2, 4), (2, 5))

    References:
        Chiu and Raffel, "Monotonic Chunkwise Attention", 2018, sections 2.2 and 2.3.
        https://arxiv.org/abs/1712.05382
    """
    query, key, value, mask, bias = prepare(
        query, key, value, mask=mask, bias=bias, key_mask=key_mask
    )
    scores = monotonic_scores(
        query, key, w_query=w_query, w_key=w_key, v=v, b=b, gain=gain, offset=offset
    )
    scores = masked_scores(add_bias(scores, bias), mask)
    alignment = continue_from(normalizer, state)(scores)
    chunk_scores = additive_scores(
        query, key, w_query=chunk_w_query, w_key=chunk_w_key, v=chunk_v, b=chunk_b
    )
    weights = chunkwise_weights(alignment, chunk_scores, width, mask=scores > -jnp.inf)
    return weigh(weights, value), weights

"""Location-sensitive attention (Chorowski 2015): previous weights help to score the keys."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Real

from attn_jax.ops.normalizers.softmax import Normalizer, softmax
from attn_jax.ops.scores.additive import pairwise_hidden
from attn_jax.ops.shapes import check_axes, check_features
from attn_jax.ops.stages import attend, prepare
from attn_jax.renames import renamed_arguments


def location_features(
    state: Real[Array, "*b q k"], *, filters: Real[Array, "r c"]
) -> Float[Array, "*b q k c"]:
    r"""Describe the previous weights by a convolution over the keys: :math:`f = F * \alpha`.

    Args:
        state: :math:`\alpha_{i-1}`, `(*b, q, k)`.
        filters: :math:`F`, `c` filters of width `r`, centered: the middle tap, or the first of two
            middle taps, lies on the key itself. Beyond the ends the weights count as zero.

    Returns:
        `f[..., j, :] = sum over r of filters[r] * state[..., j + r - (width - 1) // 2]`.

    Example:
        >>> state = jnp.array([[0.0, 1.0, 0.0]])
        >>> filters = jnp.array([[1.0], [2.0], [3.0]])
        >>> location_features(state, filters=filters)[0, :, 0].tolist()
        [3.0, 2.0, 1.0]
    """
    num_keys, width = state.shape[-1], filters.shape[0]
    left = (width - 1) // 2
    padding = [(0, 0)] * (state.ndim - 1) + [(left, width - 1 - left)]
    padded = jnp.pad(state, padding)
    taps = [padded[..., r : r + num_keys] for r in range(width)]
    return jnp.einsum("...r,rc->...c", jnp.stack(taps, axis=-1), filters)


def location_sensitive_scores(
    query: Real[Array, "*b q d_q"],
    key: Real[Array, "*b k d_k"],
    *,
    state: Real[Array, "*b q k"],
    w_query: Real[Array, "d_q a"],
    w_key: Real[Array, "d_k a"],
    w_location: Real[Array, "c a"],
    filters: Real[Array, "r c"],
    v: Real[Array, " a"],
    b: Real[Array, " a"] | None = None,
) -> Float[Array, "*b q k"]:
    r"""Score by one hidden layer of query, key and previous weights.

    .. math:: s_{ij} = v^\top \tanh(W_q q_i + W_k k_j + W_f f_{ij} + b), \qquad
              f_i = F * \alpha_{i-1}

    Args:
        query: `(*b, q, d_q)`.
        key: `(*b, k, d_k)`.
        state: :math:`\alpha_{i-1}`, the weights of the step before that of each query.
        w_query: Projects queries to the hidden layer.
        w_key: Projects keys to the hidden layer.
        w_location: Projects the features of :func:`location_features`.
        filters: :math:`F`, `c` filters of width `r`.
        v: Weighs the hidden units.
        b: Bias of the hidden layer, if any.

    Returns:
        Scores in float32 at least.

    Raises:
        ValueError: If shapes do not fit together.

    Example:
        >>> one, zero = jnp.ones((1, 1)), jnp.zeros((1, 1))
        >>> scores = location_sensitive_scores(
        ...     one, one, state=one, w_query=zero, w_key=zero, w_location=one, filters=one,
        ...     v=jnp.ones(1),
        ... )
        >>> round(float(scores[0, 0]), 4)  # tanh(1)
        0.7616
    """
    check_axes(w_query=(w_query, "d_q a"), w_key=(w_key, "d_k a"), v=(v, "a"), b=(b, "a"))
    check_axes(w_location=(w_location, "c a"), filters=(filters, "r c"))
    for name, size, other, expected in (
        ("query", query.shape[-1], "w_query", w_query.shape[0]),
        ("key", key.shape[-1], "w_key", w_key.shape[0]),
        ("filters", filters.shape[1], "w_location", w_location.shape[0]),
        ("w_key", w_key.shape[1], "w_query", w_query.shape[1]),
        ("w_location", w_location.shape[1], "w_query", w_query.shape[1]),
        ("v", v.shape[0], "w_query", w_query.shape[1]),
    ):
        check_features(name, size, other, expected)
    check_state(state, (*query.shape[:-1], key.shape[-2]))
    features = location_features(state.astype(query.dtype), filters=filters)
    hidden = pairwise_hidden(query, key, w_query, w_key, b) + features @ w_location
    dtype = jnp.promote_types(hidden.dtype, jnp.float32)
    return jnp.einsum("...a,a->...", jnp.tanh(hidden), v, preferred_element_type=dtype)


def check_state(state: jax.Array, shape: tuple[int, ...]) -> None:
    """Check the shape of the weights of the previous step.

    Raises:
        ValueError: If it is not that of the scores.
    """
    if state.shape != shape:
        raise ValueError(
            f"state has shape {state.shape} but must have shape {shape}, that of the previous "
            "step's weights."
        )


@renamed_arguments(previous_weights="state")
def location_sensitive_attention(
    query: Real[Array, "*b q d_q"],
    key: Real[Array, "*b k d_k"],
    value: Real[Array, "*b k d_v"],
    *,
    state: Real[Array, "*b q k"],
    w_query: Real[Array, "d_q a"],
    w_key: Real[Array, "d_k a"],
    w_location: Real[Array, "c a"],
    filters: Real[Array, "r c"],
    v: Real[Array, " a"],
    b: Real[Array, " a"] | None = None,
    mask: Bool[Array, "..."] | None = None,
    bias: Real[Array, "..."] | None = None,
    key_mask: Bool[Array, "..."] | None = None,
    normalizer: Normalizer = softmax,
) -> tuple[Float[Array, "*b q d_v"], Float[Array, "*b q k"]]:
    r"""Attend by content and by the weights of the previous step.

    .. math:: w_i = \operatorname{softmax}_j\big(
              v^\top \tanh(W_q q_i + W_k k_j + W_f f_{ij} + b)\big), \qquad f_i = F * w_{i-1}

    A decoder gives one query at a time, and passes the returned weights to the next step as
    `state`; the first state is zeros, or one at the first key. In Chorowski's symbols
    :math:`s_{i-1}` is the query, :math:`h_j` is key and value, :math:`\alpha_{i-1}` is `state`,
    and :math:`W, V, U, F, w` are `w_query`, `w_key`, `w_location`, `filters` and `v`.

    Args:
        query: `(*b, q, d_q)`.
        key: `(*b, k, d_k)`.
        value: `(*b, k, d_v)`.
        state: The weights of the step before that of each query.
        w_query: Projects queries to the hidden layer.
        w_key: Projects keys to the hidden layer.
        w_location: Projects the features of :func:`location_features`.
        filters: `c` filters of width `r` over the previous weights; see :func:`location_features`.
        v: Weighs the hidden units.
        b: Bias of the hidden layer, if any.
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
        >>> query, key = jnp.ones((1, 3)), jnp.ones((5, 4))
        >>> weights = jnp.zeros((1, 5))
        >>> for _ in range(2):
        ...     context, weights = location_sensitive_attention(
        ...         query, key, key, state=weights, w_query=jnp.ones((3, 7)),
        ...         w_key=jnp.ones((4, 7)), w_location=jnp.ones((2, 7)),
        ...         filters=jnp.ones((3, 2)), v=jnp.ones(7),
        ...     )
        >>> context.shape, weights.shape
        ((1, 4), (1, 5))

    References:
        Chorowski et al., "Attention-Based Models for Speech Recognition", 2015, section 2.1,
        equations 8 and 9. https://arxiv.org/abs/1506.07503
    """
    query, key, value, mask, bias = prepare(
        query, key, value, mask=mask, bias=bias, key_mask=key_mask
    )
    scores = location_sensitive_scores(
        query,
        key,
        state=state,
        w_query=w_query,
        w_key=w_key,
        w_location=w_location,
        filters=filters,
        v=v,
        b=b,
    )
    return attend(scores, value, mask=mask, bias=bias, normalizer=normalizer)

"""Local attention (Luong 2015): a window around the query's position, or one that it predicts."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Real

from attn_jax.ops.masks import align_to_tokens, combine_masks, window_mask
from attn_jax.ops.normalizers.softmax import Normalizer, softmax
from attn_jax.ops.scores.bilinear import bilinear_scores
from attn_jax.ops.shapes import check_attention_inputs, check_axes, check_features
from attn_jax.ops.stages import attend, prepare


def local_m_attention(
    query: Real[Array, "*b q d_q"],
    key: Real[Array, "*b k d_k"],
    value: Real[Array, "*b k d_v"],
    *,
    w: Real[Array, "d_q d_k"],
    half_width: int,
    query_offset: int | Int[Array, ""] = 0,
    mask: Bool[Array, "..."] | None = None,
    bias: Real[Array, "..."] | None = None,
    key_mask: Bool[Array, "..."] | None = None,
    normalizer: Normalizer = softmax,
) -> tuple[Float[Array, "*b q d_v"], Float[Array, "*b q k"]]:
    r"""Attend to a window around the query's own position (local-m, monotonic).

    .. math:: w_{ij} = \operatorname{softmax}_j(q_i^\top W k_j)
              \quad\text{over}\quad |j - i| \le D

    In Luong's symbols the source position is assumed to be :math:`p_t = t`. With any other score,
    `mask=window_mask(q, k, half_width)` gives the same window.

    Args:
        query: `(*b, q, d_q)`.
        key: `(*b, k, d_k)`.
        value: `(*b, k, d_v)`.
        w: Matrix of the bilinear score, :math:`W`.
        half_width: :math:`D`, the keys on either side.
        query_offset: The position of the first query among the keys.
        mask: True = may attend; `(*b, q, k)` with ones allowed, `(q, k)` or `(k,)`.
        bias: Added to the scores, of the same shapes.
        key_mask: `(*b, k)`; True = the key exists.
        normalizer: Maps scores to weights.

    Returns:
        The context `(*b, q, d_v)` and the weights `(*b, q, k)`.

    Raises:
        ValueError: If shapes do not fit together, or the width is negative.
        TypeError: If a mask is not boolean.

    Example:
        >>> x = jnp.zeros((4, 3))
        >>> _, weights = local_m_attention(x, x, x, w=jnp.zeros((3, 3)), half_width=1)
        >>> weights[0].tolist()
        [0.5, 0.5, 0.0, 0.0]

    References:
        Luong, Pham and Manning, "Effective Approaches to Attention-based Neural Machine
        Translation", 2015, section 3.2. https://arxiv.org/abs/1508.04025
    """
    check_attention_inputs(query, key, value)
    sizes = query.shape[-2], key.shape[-2]
    query, key, value, mask, bias = prepare(
        query,
        key,
        value,
        mask=mask,
        bias=bias,
        key_mask=key_mask,
        structure=window_mask(*sizes, half_width, query_offset=query_offset),
    )
    scores = bilinear_scores(query, key, w=w)
    return attend(scores, value, mask=mask, bias=bias, normalizer=normalizer)


def predicted_position(
    query: Real[Array, "*b q d_q"],
    num_keys: int | Int[Array, "*b"],
    *,
    w_position: Real[Array, "d_q a"],
    v_position: Real[Array, " a"],
) -> Float[Array, "*b q"]:
    r"""Predict the position to attend to: :math:`p_i = S\, \sigma(v_p^\top \tanh(W_p q_i))`.

    Args:
        query: `(*b, q, d_q)`.
        num_keys: :math:`S`, the length of the source; an array has one for each sequence.
        w_position: :math:`W_p`.
        v_position: :math:`v_p`.

    Returns:
        Positions between 0 and S, in float32 at least.

    Raises:
        ValueError: If the features do not fit the parameters.

    Example:
        >>> zeros = jnp.zeros((1, 1))
        >>> predicted_position(zeros, 10, w_position=zeros, v_position=jnp.zeros(1)).tolist()
        [5.0]
    """
    check_axes(w_position=(w_position, "d_q a"), v_position=(v_position, "a"))
    check_features("query", query.shape[-1], "w_position", w_position.shape[0])
    check_features("v_position", v_position.shape[0], "w_position", w_position.shape[1])
    hidden = jnp.tanh(query @ w_position)
    dtype = jnp.promote_types(hidden.dtype, jnp.float32)
    logit = jnp.einsum("...a,a->...", hidden, v_position, preferred_element_type=dtype)
    length = num_keys if isinstance(num_keys, int) else num_keys[..., None].astype(dtype)
    return length * jax.nn.sigmoid(logit)


def count_keys(key: jax.Array, key_mask: jax.Array | None) -> int | jax.Array:
    """Return how many keys exist: one number, or one for each sequence of a batch."""
    if key_mask is None:
        return key.shape[-2]
    key_mask = align_to_tokens("key_mask", key_mask, key.shape[:-1])
    return jnp.broadcast_to(key_mask, key.shape[:-1]).sum(axis=-1)


def gaussian_window(
    position: Real[Array, "*b q"], half_width: int, normalizer: Normalizer = softmax
) -> Normalizer:
    r"""Return a normalizer whose weights are bell curves, zero outside a window.

    .. math:: w_{ij} = \operatorname{normalizer}_{|j - p_i| \le D}(s_i)_j\,
              \exp\!\left(-\frac{(j - p_i)^2}{2 \sigma^2}\right), \qquad \sigma = D/2

    Args:
        position: :math:`p`, the center of each query's window.
        half_width: :math:`D`, at least 1.
        normalizer: Maps scores to weights, before the bell curve.

    Returns:
        A normalizer for scores `(*b, q, k)`.

    Raises:
        ValueError: If the width is not positive.

    Example:
        >>> window = gaussian_window(jnp.array([1.0]), 1)
        >>> [round(float(w), 4) for w in window(jnp.zeros((1, 4)))[0]]
        [0.0451, 0.3333, 0.0451, 0.0]
    """
    if half_width < 1:
        raise ValueError(f"half_width={half_width} must be at least 1, the width of the bell.")

    def window(scores, *, mask=None):
        keys = jnp.arange(scores.shape[-1], dtype=position.dtype)
        distance = keys.reshape((1,) * position.ndim + keys.shape) - position[..., None]
        near = jnp.abs(distance) <= half_width
        weights = normalizer(scores, mask=combine_masks(mask, near))
        return weights * jnp.exp(-2 * (distance / half_width) ** 2)

    return window


def local_p_attention(
    query: Real[Array, "*b q d_q"],
    key: Real[Array, "*b k d_k"],
    value: Real[Array, "*b k d_v"],
    *,
    w: Real[Array, "d_q d_k"],
    w_position: Real[Array, "d_q a"],
    v_position: Real[Array, " a"],
    half_width: int,
    lengths: Int[Array, "*b"] | None = None,
    mask: Bool[Array, "..."] | None = None,
    bias: Real[Array, "..."] | None = None,
    key_mask: Bool[Array, "..."] | None = None,
    normalizer: Normalizer = softmax,
) -> tuple[Float[Array, "*b q d_v"], Float[Array, "*b q k"]]:
    r"""Attend to a window around a position that the query predicts (local-p, predictive).

    .. math:: w_{ij} = \operatorname{softmax}_j(q_i^\top W k_j)\,
              \exp\!\left(-\frac{(j - p_i)^2}{2 \sigma^2}\right)
              \quad\text{over}\quad |j - p_i| \le D, \quad \sigma = D/2, \qquad
              p_i = S\, \sigma(v_p^\top \tanh(W_p q_i))

    The bell curve comes after the softmax, as in the paper, so the weights sum to less than one.
    The gradients of the position come through it.

    Args:
        query: `(*b, q, d_q)`.
        key: `(*b, k, d_k)`.
        value: `(*b, k, d_v)`.
        w: Matrix of the bilinear score, :math:`W_a`.
        w_position: :math:`W_p`.
        v_position: :math:`v_p`.
        half_width: :math:`D`, at least 1.
        lengths: :math:`S` of each sequence; the number of keys that exist if None.
        mask: True = may attend; `(*b, q, k)` with ones allowed, `(q, k)` or `(k,)`.
        bias: Added to the scores, of the same shapes.
        key_mask: `(*b, k)`; True = the key exists.
        normalizer: Maps scores to weights, before the bell curve.

    Returns:
        The context `(*b, q, d_v)` and the weights `(*b, q, k)`.

    Raises:
        ValueError: If shapes do not fit together, or the width is not positive.
        TypeError: If a mask is not boolean.

    Example:
        >>> x = jnp.zeros((5, 3))
        >>> parameters = {"w": jnp.zeros((3, 3)), "w_position": x.T[:, :2], "v_position": x[0, :2]}
        >>> _, weights = local_p_attention(x, x, x, **parameters, half_width=1)
        >>> [round(float(w), 4) for w in weights[0]]  # around 2.5: exp(-1/2) / 2 on either side
        [0.0, 0.0, 0.3033, 0.3033, 0.0]

    References:
        Luong, Pham and Manning, "Effective Approaches to Attention-based Neural Machine
        Translation", 2015, section 3.2, equations 9 and 10. https://arxiv.org/abs/1508.04025
    """
    query, key, value, mask, bias = prepare(
        query, key, value, mask=mask, bias=bias, key_mask=key_mask
    )
    position = predicted_position(
        query,
        count_keys(key, key_mask) if lengths is None else lengths,
        w_position=w_position,
        v_position=v_position,
    )
    scores = bilinear_scores(query, key, w=w)
    window = gaussian_window(position, half_width, normalizer)
    return attend(scores, value, mask=mask, bias=bias, normalizer=window)

"""Cosine attention, content-based addressing (Graves 2014)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Real

from attn_jax.ops.normalizers.softmax import Normalizer, softmax
from attn_jax.ops.scores.dot_product import dot_product_scores
from attn_jax.ops.shapes import check_features
from attn_jax.ops.stages import attend, prepare


def cosine_scores(
    query: Real[Array, "*b q d"],
    key: Real[Array, "*b k d"],
    *,
    temperature: float | int | Real[Array, ""] = 1.0,
) -> Float[Array, "*b q k"]:
    r"""Score by the cosine: :math:`s_{ij} = \cos(q_i, k_j) / T`.

    Args:
        query: `(*b, q, d)`.
        key: `(*b, k, d)`.
        temperature: :math:`T`, positive; it may be learned.

    Returns:
        Scores between -1/T and 1/T, zero for a vector of zeros; float32 at least.

    Raises:
        ValueError: If the features of query and key differ, or the temperature is a number that is
            not positive.

    Example:
        >>> query, key = jnp.array([[3.0, 4.0]]), jnp.array([[2.0, 0.0], [0.0, 0.0]])
        >>> [round(float(score), 4) for score in cosine_scores(query, key, temperature=0.5)[0]]
        [1.2, 0.0]
    """
    check_features("key", key.shape[-1], "query", query.shape[-1])
    if isinstance(temperature, float | int) and temperature <= 0:
        raise ValueError(f"temperature={temperature} must be positive; 0 would be the maximum.")
    return dot_product_scores(direction(query) / temperature, direction(key))


def direction(x: jax.Array) -> jax.Array:
    """Scale vectors to length one, in float32 at least; zeros stay zeros, with zero gradients."""
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    # Scaling first keeps the squares from overflowing or vanishing, and changes no direction.
    largest = jax.lax.stop_gradient(jnp.abs(x).max(axis=-1, keepdims=True, initial=0))
    is_zero = largest == 0
    x = x / jnp.where(is_zero, 1, largest)
    squares = (x**2).sum(axis=-1, keepdims=True)
    return jnp.where(is_zero, 0, x * jax.lax.rsqrt(jnp.where(is_zero, 1, squares)))


def cosine_attention(
    query: Real[Array, "*b q d"],
    key: Real[Array, "*b k d"],
    value: Real[Array, "*b k d_v"],
    *,
    temperature: float | int | Real[Array, ""] = 1.0,
    mask: Bool[Array, "..."] | None = None,
    bias: Real[Array, "..."] | None = None,
    key_mask: Bool[Array, "..."] | None = None,
    normalizer: Normalizer = softmax,
) -> tuple[Float[Array, "*b q d_v"], Float[Array, "*b q k"]]:
    r"""Attend by the angle between query and key, regardless of their lengths.

    .. math:: w_i = \operatorname{softmax}_j\!\left(
              \frac{1}{T} \frac{q_i \cdot k_j}{\|q_i\| \|k_j\|}\right),
              \qquad c_i = \sum_j w_{ij} v_j

    In Graves's symbols :math:`k_t` is the query, the rows :math:`M_t(i)` of the memory are keys and
    values, and the key strength :math:`\beta_t` is :math:`1/T`.

    Args:
        query: `(*b, q, d)`.
        key: `(*b, k, d)`.
        value: `(*b, k, d_v)`.
        temperature: :math:`T`, positive; it may be learned.
        mask: True = may attend; `(*b, q, k)` with ones allowed, `(q, k)` or `(k,)`.
        bias: Added to the scores, of the same shapes.
        key_mask: `(*b, k)`; True = the key exists.
        normalizer: Maps scores to weights.

    Returns:
        The context `(*b, q, d_v)` and the weights `(*b, q, k)`.

    Raises:
        ValueError: If shapes do not fit together, or the temperature is not positive.
        TypeError: If a mask is not boolean.

    Example:
        >>> query, key = jnp.array([[9.0, 0.0]]), jnp.array([[1.0, 0.0], [0.0, 1.0]])
        >>> _, weights = cosine_attention(query, key, key, temperature=0.1)
        >>> [round(float(w), 5) for w in weights[0]]  # softmax(10, 0)
        [0.99995, 5e-05]

    References:
        Graves, Wayne and Danihelka, "Neural Turing Machines", 2014, section 3.3.1.
        https://arxiv.org/abs/1410.5401
        Liu et al., "Swin Transformer V2", 2021, section 3.3, where T is learned.
        https://arxiv.org/abs/2111.09883
    """
    query, key, value, mask, bias = prepare(
        query, key, value, mask=mask, bias=bias, key_mask=key_mask
    )
    scores = cosine_scores(query, key, temperature=temperature)
    return attend(scores, value, mask=mask, bias=bias, normalizer=normalizer)

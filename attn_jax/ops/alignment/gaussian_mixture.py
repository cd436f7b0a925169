"""Gaussian-mixture attention (Graves 2013): windows that slide along the keys."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Real

from attn_jax.ops.normalizers.softmax import Normalizer
from attn_jax.ops.normalizers.unnormalized import exponential
from attn_jax.ops.shapes import check_axes, check_features
from attn_jax.ops.stages import attend, prepare
from attn_jax.renames import renamed_arguments


class GaussianMixture(NamedTuple):
    r"""The `m` windows of each query; the paper's :math:`\alpha, \beta, \kappa`.

    Attributes:
        log_importance: :math:`\hat\alpha = \log \alpha`.
        precision: :math:`\beta`; a window's standard deviation is :math:`1/\sqrt{2\beta}` keys.
        position: :math:`\kappa`, the center of a window in keys; the first key is at 0.
    """

    log_importance: Float[Array, "*b q m"]
    precision: Float[Array, "*b q m"]
    position: Float[Array, "*b q m"]


@renamed_arguments(previous_position="state")
def gaussian_mixture(
    query: Real[Array, "*b q d_q"],
    *,
    w: Real[Array, "d_q three_m"],
    b: Real[Array, " three_m"],
    state: Real[Array, "*b m"] | None = None,
) -> GaussianMixture:
    r"""Place the windows of each query; from one query to the next they only move right.

    .. math:: (\hat\alpha_i, \hat\beta_i, \hat\kappa_i) = W q_i + b, \qquad
              \beta_i = \exp \hat\beta_i, \qquad \kappa_i = \kappa_{i-1} + \exp \hat\kappa_i

    Args:
        query: `(*b, q, d_q)`, in order; a single query in a decoding step.
        w: :math:`W`, whose columns are those of :math:`\hat\alpha, \hat\beta, \hat\kappa`.
        b: :math:`b`, with the same columns.
        state: :math:`\kappa_0`, the positions before the first query; zeros if None.

    Returns:
        The windows, in float32 at least.

    Raises:
        ValueError: If shapes do not fit together.

    Example:
        >>> mixture = gaussian_mixture(jnp.zeros((3, 2)), w=jnp.zeros((2, 3)), b=jnp.zeros(3))
        >>> mixture.position[:, 0].tolist()
        [1.0, 2.0, 3.0]
    """
    check_axes(w=(w, "d_q 3m"), b=(b, "3m"))
    check_features("query", query.shape[-1], "w", w.shape[0])
    check_features("b", b.shape[0], "w", w.shape[1])
    if w.shape[1] % 3:
        raise ValueError(
            f"w of shape {w.shape} has {w.shape[1]} columns, which 3 does not divide; each window "
            "needs three: importance, precision and step."
        )
    dtype = jnp.promote_types(query.dtype, jnp.float32)
    outputs = jnp.einsum("...d,dm->...m", query, w, preferred_element_type=dtype)
    outputs = outputs + b.reshape((1,) * (outputs.ndim - 1) + b.shape)
    log_importance, log_precision, log_step = jnp.split(outputs, 3, axis=-1)
    # Steps are exponentials, hence positive, which is what keeps the windows from moving back.
    position = jnp.cumsum(jnp.exp(log_step), axis=-2)
    if state is not None:
        expected = (*query.shape[:-2], w.shape[1] // 3)
        if state.shape != expected:
            raise ValueError(
                f"state has shape {state.shape} but must have shape {expected}, (*batch, windows)."
            )
        position = position + state[..., None, :]
    return GaussianMixture(log_importance, jnp.exp(log_precision), position)


def gaussian_mixture_scores(mixture: GaussianMixture, num_keys: int) -> Float[Array, "*b q k"]:
    r"""Score each key by the logarithm of the sum of all windows there.

    .. math:: s_{ij} = \log \sum_m \alpha_i^m \exp\!\big(-\beta_i^m (\kappa_i^m - j)^2\big)

    Args:
        mixture: The windows.
        num_keys: k.

    Returns:
        Scores whose exponentials are Graves's window weights.

    Example:
        >>> one = jnp.ones((1, 1))
        >>> gaussian_mixture_scores(GaussianMixture(0 * one, one, one), 3).tolist()
        [[-1.0, 0.0, -1.0]]
    """
    log_importance, precision, position = (x[..., None, :] for x in mixture)
    keys = jnp.arange(num_keys, dtype=position.dtype)
    keys = keys.reshape((1,) * (position.ndim - 2) + (num_keys, 1))
    return jax.nn.logsumexp(log_importance - precision * (position - keys) ** 2, axis=-1)


@renamed_arguments(previous_position="state")
def gaussian_mixture_attention(
    query: Real[Array, "*b q d_q"],
    key: Real[Array, "*b k d_k"],
    value: Real[Array, "*b k d_v"],
    *,
    w: Real[Array, "d_q three_m"],
    b: Real[Array, " three_m"],
    state: Real[Array, "*b m"] | None = None,
    mask: Bool[Array, "..."] | None = None,
    bias: Real[Array, "..."] | None = None,
    key_mask: Bool[Array, "..."] | None = None,
    normalizer: Normalizer = exponential,
) -> tuple[Float[Array, "*b q d_v"], Float[Array, "*b q k"]]:
    r"""Attend through windows that the queries move along the keys.

    .. math:: w_{ij} = \sum_m \alpha_i^m \exp\!\big(-\beta_i^m (\kappa_i^m - j)^2\big), \qquad
              c_i = \sum_j w_{ij} v_j

    In Graves's symbols :math:`h_t^1` is the query, :math:`c_u` are the values and
    :math:`\phi(t, u)` are the weights, which do not sum to one; with `normalizer=softmax` they do.
    The keys matter only by their number. Graves counts them from 1; here the first is 0.

    Args:
        query: `(*b, q, d_q)`, in order.
        key: `(*b, k, d_k)`.
        value: `(*b, k, d_v)`.
        w: :math:`W`, whose columns are those of :math:`\hat\alpha, \hat\beta, \hat\kappa`.
        b: :math:`b`, with the same columns.
        state: Positions of the windows before the first query, zeros if None; in a decoding step,
            the last `position` of :func:`gaussian_mixture`.
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
        >>> value = jnp.eye(4)
        >>> _, weights = gaussian_mixture_attention(
        ...     jnp.zeros((3, 2)), value, value, w=jnp.zeros((2, 3)), b=jnp.zeros(3)
        ... )
        >>> weights.argmax(axis=-1).tolist()
        [1, 2, 3]

    References:
        Graves, "Generating Sequences With Recurrent Neural Networks", 2013, section 5.1.
        https://arxiv.org/abs/1308.0850
    """
    query, key, value, mask, bias = prepare(
        query, key, value, mask=mask, bias=bias, key_mask=key_mask
    )
    mixture = gaussian_mixture(query, w=w, b=b, state=state)
    scores = gaussian_mixture_scores(mixture, key.shape[-2])
    return attend(scores, value, mask=mask, bias=bias, normalizer=normalizer)

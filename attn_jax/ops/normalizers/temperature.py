"""Normalizers with sharper or flatter weights: top-k softmax, and a temperature."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Real

from attn_jax.ops.normalizers.softmax import Normalizer, masked_scores, softmax
from attn_jax.ops.shapes import broadcast_to_scores
from attn_jax.renames import renamed_arguments


@renamed_arguments(top="top_k")
def top_k_softmax(
    scores: Real[Array, "*b k"], top_k: int = 8, *, mask: Bool[Array, "..."] | None = None
) -> Float[Array, "*b k"]:
    r"""Take the softmax of the `top_k` largest scores; all other keys get weight zero.

    Of equal scores the first count as larger. As a normalizer with another k, use
    `functools.partial(top_k_softmax, top_k=4)`.

    Args:
        scores: `(*b, k)`, of any real type.
        top_k: The most keys a query attends to; the papers' :math:`k`.
        mask: True = may attend; `(*b, k)` with ones allowed, `(q, k)` or `(k,)`.

    Returns:
        Weights that sum to one, or are all zero where nothing is allowed; float32 at least.

    Raises:
        TypeError: If the mask is not boolean.
        ValueError: If `top_k` is not positive, or the mask does not broadcast to the scores.

    Example:
        >>> top_k_softmax(jnp.array([3.0, 1.0, 3.0, 2.0]), 2).tolist()
        [0.5, 0.0, 0.5, 0.0]

    References:
        Zhao et al., "Explicit Sparse Transformer", 2019, section 2.
        https://arxiv.org/abs/1912.11637
        Gupta et al., "Memory-efficient Transformers via Top-k Attention", 2021.
        https://arxiv.org/abs/2106.06899
    """
    if top_k < 1:
        raise ValueError(f"top_k={top_k} must be at least 1, the number of keys to attend to.")
    scores = masked_scores(scores, mask)
    if top_k >= scores.shape[-1]:
        return softmax(scores)
    _, indices = jax.lax.top_k(scores, top_k)
    top = jnp.put_along_axis(jnp.zeros(scores.shape, bool), indices, True, axis=-1, inplace=False)
    return softmax(scores, mask=top)


def with_temperature(
    normalizer: Normalizer, temperature: float | int | Real[Array, "..."]
) -> Normalizer:
    r"""Return a normalizer that divides the scores by a temperature :math:`T`.

    Temperatures above one make the weights flatter, below one sharper.

    Args:
        normalizer: The normalizer of the divided scores.
        temperature: :math:`T > 0`. An array broadcasts to `(*b, 1)`, may be traced, and has
            gradients.

    Returns:
        A normalizer; calling it raises a ValueError if the temperature does not broadcast.

    Raises:
        ValueError: If the temperature is a number that is not positive.

    Example:
        >>> hot = with_temperature(softmax, 2.0)
        >>> scores = 2 * jnp.log(jnp.array([1.0, 3.0]))
        >>> [round(float(w), 4) for w in hot(scores)]
        [0.25, 0.75]

    References:
        Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015, section 2.
        https://arxiv.org/abs/1503.02531
    """
    if isinstance(temperature, float | int) and temperature <= 0:
        raise ValueError(f"temperature={temperature} must be positive; 0 would be the maximum.")
    return functools.partial(_tempered, normalizer=normalizer, temperature=temperature)


def _tempered(
    scores: Real[Array, "*b k"],
    *,
    mask: Bool[Array, "..."] | None = None,
    normalizer: Normalizer,
    temperature: float | int | Real[Array, "..."],
) -> Float[Array, "*b k"]:
    scores = masked_scores(scores, mask)
    divisor = jnp.asarray(temperature, scores.dtype)
    divisor = broadcast_to_scores("temperature", divisor, (*scores.shape[:-1], 1))
    # Minus infinity over the temperature would make its gradient NaN.
    hidden = scores == -jnp.inf
    scores = jnp.where(hidden, 0, scores) / divisor
    return normalizer(scores, mask=~hidden)

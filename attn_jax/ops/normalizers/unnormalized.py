"""Normalizers whose weights need not sum to one: sigmoid, exponential, softmax with a sink."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Real

from attn_jax.ops.normalizers.softmax import masked_scores
from attn_jax.ops.shapes import broadcast_to_scores


def sigmoid(
    scores: Real[Array, "*b k"],
    bias: float | int | Real[Array, "..."] = 0.0,
    *,
    mask: Bool[Array, "..."] | None = None,
) -> Float[Array, "*b k"]:
    r"""Weigh each key independently: :math:`w_j = \sigma(s_j + b)`.

    Args:
        scores: `(*b, k)`, of any real type.
        bias: :math:`b`; :math:`-\log k` makes the weights sum to about one at the start of
            training. An array broadcasts to `(*b, 1)`.
        mask: True = may attend; `(*b, k)` with ones allowed, `(q, k)` or `(k,)`.

    Returns:
        Weights between zero and one; float32 at least.

    Raises:
        TypeError: If the mask is not boolean.
        ValueError: If bias or mask do not broadcast.

    Example:
        >>> weights = sigmoid(jnp.array([0.0, 100.0, 0.0]), mask=jnp.array([True, True, False]))
        >>> weights.tolist()
        [0.5, 1.0, 0.0]

    References:
        Ramapuram et al., "Theory, Analysis, and Best Practices for Sigmoid Self-Attention", 2024,
        section 2. https://arxiv.org/abs/2409.04431
    """
    scores = masked_scores(scores, mask)
    return jax.nn.sigmoid(scores + _per_row("bias", bias, scores))


def exponential(
    scores: Real[Array, "*b k"], *, mask: Bool[Array, "..."] | None = None
) -> Float[Array, "*b k"]:
    r"""Read the scores as logarithms of the weights: :math:`w_j = \exp s_j`.

    Args:
        scores: `(*b, k)`, of any real type.
        mask: True = may attend; `(*b, k)` with ones allowed, `(q, k)` or `(k,)`.

    Returns:
        Weights of any size but not negative; float32 at least.

    Raises:
        TypeError: If the mask is not boolean.
        ValueError: If the mask does not broadcast to the scores.

    Example:
        >>> exponential(jnp.array([0.0, -jnp.inf])).tolist()
        [1.0, 0.0]
    """
    return jnp.exp(masked_scores(scores, mask))


def softmax_with_sink(
    scores: Real[Array, "*b k"],
    sink: float | int | Real[Array, "..."] = 0.0,
    *,
    mask: Bool[Array, "..."] | None = None,
) -> Float[Array, "*b k"]:
    r"""Let a query attend to nothing, by one more score that has no value.

    .. math:: w_j = \frac{\exp s_j}{\exp b + \sum_i \exp s_i}

    With :math:`b = 0` it is "softmax off by one"; gpt-oss learns one :math:`b` for each head.

    Args:
        scores: `(*b, k)`, of any real type.
        sink: :math:`b`. An array broadcasts to `(*b, 1)`; one sink per head of scores
            `(*b, h, q, k)` has shape `(h, 1, 1)`.
        mask: True = may attend; `(*b, k)` with ones allowed, `(q, k)` or `(k,)`.

    Returns:
        Weights that sum to less than one; float32 at least.

    Raises:
        TypeError: If the mask is not boolean.
        ValueError: If sink or mask do not broadcast.

    Example:
        >>> softmax_with_sink(jnp.zeros(3)).tolist()
        [0.25, 0.25, 0.25]

    References:
        Miller, "Attention Is Off By One", 2023.
        https://www.evanmiller.org/attention-is-off-by-one.html
        OpenAI, "gpt-oss-120b & gpt-oss-20b Model Card", 2025, section 2.2.
        https://arxiv.org/abs/2508.10925
    """
    scores = masked_scores(scores, mask)
    sink = _per_row("sink", sink, scores)
    largest = jnp.maximum(scores.max(axis=-1, keepdims=True, initial=-jnp.inf), sink)
    # Any constant cancels in the quotient, so the maximum needs no gradient.
    largest = jax.lax.stop_gradient(jnp.where(largest == -jnp.inf, 0, largest))
    unnormalized = jnp.exp(scores - largest)
    total = unnormalized.sum(axis=-1, keepdims=True) + jnp.exp(sink - largest)
    return unnormalized / jnp.where(total > 0, total, 1)


def _per_row(name: str, number: float | jax.Array, scores: jax.Array) -> jax.Array:
    """Broadcast a number to one for each row of scores, `(*b, 1)`."""
    array = jnp.asarray(number, scores.dtype)
    return broadcast_to_scores(name, array, (*scores.shape[:-1], 1))

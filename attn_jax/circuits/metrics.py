"""Metrics: from the logits of a model, `(n, ..., vocabulary)`, to a number."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

KeyMask = Bool[Array | np.ndarray, "n t"]
"""True where a token of a text exists."""


def logit_difference(
    right: ArrayLike,
    wrong: ArrayLike,
    *,
    position: int = -1,
    key_mask: KeyMask | None = None,
) -> Callable[[Array], Array]:
    """Return the metric logit of the right token minus logit of the wrong one, a mean over texts.

    Args:
        right: The right token of each text, `(n,)`, or one for all.
        wrong: The wrong one.
        position: The position whose logits count; negative ones from the end of each text.
        key_mask: True where a token exists, for texts of unequal length.

    Returns:
        A function from logits `(n, t, v)`, or `(n, v)` of one position, to a scalar.

    Example:
        >>> import jax.numpy as jnp
        >>> metric = logit_difference(1, 0)
        >>> float(metric(jnp.array([[[0.0, 0.0], [2.0, 5.0]]])))
        3.0
    """

    def metric(logits: Array) -> Array:
        rows = at_position(logits, position, key_mask)
        return (_of(rows, right) - _of(rows, wrong)).mean()

    return metric


def probability(
    token: ArrayLike, *, position: int = -1, key_mask: KeyMask | None = None
) -> Callable[[Array], Array]:
    """Return the metric probability of a token, a mean over texts.

    Args:
        token: The token of each text, `(n,)`, or one for all.
        position: The position whose prediction counts; negative ones from the end of each text.
        key_mask: True where a token exists, for texts of unequal length.

    Returns:
        A function from logits `(n, t, v)`, or `(n, v)` of one position, to a scalar.

    Example:
        >>> import jax.numpy as jnp
        >>> float(probability(1)(jnp.zeros((1, 3, 4))))
        0.25
    """

    def metric(logits: Array) -> Array:
        return _of(jax.nn.softmax(at_position(logits, position, key_mask)), token).mean()

    return metric


def kl(
    reference: Float[Array, "n ... v"],
    *,
    position: int = -1,
    key_mask: KeyMask | None = None,
) -> Callable[[Array], Array]:
    """Return the metric divergence of the prediction from another, KL(reference, prediction).

    Args:
        reference: The logits of the other run, such as that of the unedited model.
        position: The position whose prediction counts; negative ones from the end of each text.
        key_mask: True where a token exists, for texts of unequal length.

    Returns:
        A function from logits `(n, t, v)`, or `(n, v)` of one position, to a scalar, in nats.

    Example:
        >>> import jax.numpy as jnp
        >>> logits = jnp.array([[1.0, 2.0]])
        >>> float(kl(logits)(logits))
        0.0
    """
    expected = jax.nn.log_softmax(at_position(reference, position, key_mask))

    def metric(logits: Array) -> Array:
        logs = jax.nn.log_softmax(at_position(logits, position, key_mask))
        return (jnp.exp(expected) * (expected - logs)).sum(-1).mean()

    return metric


def at_position(
    values: Float[Array, "n ... v"], position: int, key_mask: KeyMask | None = None
) -> Float[Array, "n v"]:
    """Return the values at one position of each text, `(n, t, v)` to `(n, v)`.

    Values of one position, `(n, v)`, are returned as they are.

    Args:
        values: The values.
        position: The position; negative ones count from the end of each text.
        key_mask: True where a token exists; all do if None.

    Raises:
        ValueError: If there is no such position.
    """
    if values.ndim == 2:
        return values
    batch, tokens, _ = values.shape
    if not -tokens <= position < tokens:
        raise ValueError(f"position {position} is none of the {tokens} of {list(values.shape)}.")
    places = position_of(jnp.full(batch, position), tokens, key_mask)
    return jnp.take_along_axis(values, places[:, None, None], 1)[:, 0]


def position_of(
    number: Int[Array, " n"], tokens: int, key_mask: KeyMask | None
) -> Int[Array, " n"]:
    """Return positions counted from the start, where negative ones count from each text's end."""
    if key_mask is None:
        end = jnp.full(number.shape, tokens)
    else:
        end = tokens - jnp.flip(jnp.asarray(key_mask), -1).argmax(-1)
    return jnp.where(number < 0, number + end, number)


def _of(rows: Float[Array, "n v"], tokens: ArrayLike) -> Float[Array, " n"]:
    tokens = jnp.broadcast_to(jnp.asarray(tokens), rows.shape[:1])
    return jnp.take_along_axis(rows, tokens[:, None], -1)[:, 0]

"""Checks of shapes at the public boundary: what was wrong, both values, and the way out."""

import jax
import jax.numpy as jnp


def check_attention_inputs(query: jax.Array, key: jax.Array, value: jax.Array) -> None:
    """Refuse queries, keys and values that do not fit together.

    Args:
        query: `(*b, q, d_q)`.
        key: `(*b, k, d_k)`.
        value: `(*b, k, d_v)`.

    Raises:
        ValueError: If a rank is below two, batch axes differ, or keys and values differ in number.
    """
    for name, array in (("query", query), ("key", key), ("value", value)):
        if array.ndim < 2:
            raise ValueError(
                f"{name} of shape {array.shape} needs at least two axes, (*batch, tokens, "
                f"features); a single vector is {name}[None, :]."
            )
    if not query.shape[:-2] == key.shape[:-2] == value.shape[:-2]:
        raise ValueError(
            f"the batch axes of query {query.shape[:-2]}, key {key.shape[:-2]} and value "
            f"{value.shape[:-2]} differ; use jnp.broadcast_to to make them equal."
        )
    if key.shape[-2] != value.shape[-2]:
        raise ValueError(
            f"key has {key.shape[-2]} tokens and value has {value.shape[-2]}; each key needs "
            f"its value (shapes {key.shape} and {value.shape})."
        )


def check_features(name: str, size: int, other: str, expected: int) -> None:
    """Refuse two feature sizes that must be equal and are not."""
    if size != expected:
        raise ValueError(f"{name} has {size} features and {other} expects {expected}.")


def check_broadcast(
    name: str, array: jax.Array, shape: tuple[int, ...], axes: str = "(*batch, queries, keys)"
) -> None:
    """Refuse a mask or a bias that does not broadcast, from any lower rank, to the scores.

    Raises:
        ValueError: If it does not.
    """
    sizes = (1,) * (len(shape) - array.ndim) + array.shape
    fits = len(sizes) == len(shape) and all(s in (1, t) for s, t in zip(sizes, shape, strict=True))
    if not fits:
        raise ValueError(
            f"{name} of shape {array.shape} does not broadcast to the scores' {axes} = {shape}."
        )


def broadcast_to_scores(name: str, array: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Broadcast a mask or a bias, of any lower rank, to the shape of the scores.

    Raises:
        ValueError: If it does not broadcast.
    """
    check_broadcast(name, array, shape)
    return jnp.broadcast_to(array, shape)


def check_mask(mask: jax.Array) -> None:
    """Refuse a mask that is not boolean.

    Raises:
        TypeError: If the mask has another type; a mask of floats is a `bias`.
    """
    if mask.dtype != jnp.bool_:
        raise TypeError(
            f"mask must be boolean (True = may attend), not {mask.dtype}; numbers that are added "
            "to the scores go in bias."
        )

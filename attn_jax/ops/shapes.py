"""Checks of shapes and types at the public boundary, with errors that show both values."""

import jax
import jax.numpy as jnp


def check_attention_inputs(query: jax.Array, key: jax.Array, value: jax.Array) -> None:
    """Check that queries, keys and values fit together.

    Args:
        query: `(*b, q, d_q)`.
        key: `(*b, k, d_k)`.
        value: `(*b, k, d_v)`.

    Raises:
        ValueError: If a rank is below two, batch axes differ, or keys and values differ in number.
    """
    _check_rank(2, "(*batch, tokens, features); a single vector is {}[None, :]", query, key, value)
    _check_tokens(query.shape[:-1], key.shape[:-1], value.shape[:-1])


def check_head_inputs(query: jax.Array, key: jax.Array, value: jax.Array) -> None:
    """Check that queries, keys and values of several heads fit together.

    Args:
        query: `(*b, q, h, d)`.
        key: `(*b, k, h_k, d)`.
        value: `(*b, k, h_v, e)`.

    Raises:
        ValueError: If a rank is below three, batch axes differ, or keys and values differ in
            number.
    """
    hint = "(*batch, tokens, heads, features); a single head is {}[..., None, :]"
    _check_rank(3, hint, query, key, value)
    _check_tokens(query.shape[:-2], key.shape[:-2], value.shape[:-2])


def _check_rank(least: int, hint: str, *arrays: jax.Array) -> None:
    for name, array in zip(("query", "key", "value"), arrays, strict=True):
        if array.ndim < least:
            number = {2: "two", 3: "three"}[least]
            raise ValueError(
                f"{name} of shape {array.shape} needs at least {number} axes, {hint.format(name)}."
            )


def _check_tokens(query: tuple[int, ...], key: tuple[int, ...], value: tuple[int, ...]) -> None:
    """Compare the leading axes, `(*b, tokens)`."""
    if query == key[:-1] == value[:-1]:
        axis = "[" + ":, " * len(query) + "None]"
        raise ValueError(
            f"query has no axis of tokens: its leading axes {query} are the batch axes of key and "
            f"value, {key[:-1]}. If it holds one query for each example, give query{axis}, and "
            "take that axis off the context."
        )
    if not query[:-1] == key[:-1] == value[:-1]:
        raise ValueError(
            f"the batch axes of query {query[:-1]}, key {key[:-1]} and value {value[:-1]} differ; "
            "use jnp.broadcast_to to make them equal."
        )
    if key[-1] != value[-1]:
        raise ValueError(
            f"key has {key[-1]} tokens and value has {value[-1]}; each key needs its value "
            f"((*batch, tokens) are {key} and {value})."
        )


def check_axes(**parameters: tuple[jax.Array | None, str]) -> None:
    """Check that parameters have the axes that a formula gives them.

    Args:
        **parameters: Each parameter, by its name, with the names of its axes; None is left out.

    Raises:
        ValueError: If the number of axes is another.
    """
    for name, (array, axes) in parameters.items():
        if array is not None and array.ndim != len(axes.split()):
            expected = f"({', '.join(axes.split())})"
            raise ValueError(f"{name} has shape {array.shape} but must have the axes {expected}.")


def check_features(name: str, size: int, other: str, expected: int) -> None:
    """Check that two feature sizes are equal.

    Args:
        name: The array to blame.
        size: Its number of features.
        other: The array that sets the size.
        expected: The number of features that it sets.

    Raises:
        ValueError: If they differ.
    """
    if size != expected:
        raise ValueError(f"{name} has {size} features and {other} expects {expected}.")


def check_broadcast(
    name: str, array: jax.Array, shape: tuple[int, ...], axes: str = "(*batch, queries, keys)"
) -> None:
    """Check that a mask or a bias of any lower rank broadcasts to the scores.

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
    """Broadcast an array of any lower rank, such as a temperature, to the shape of the scores.

    Raises:
        ValueError: If it does not broadcast.
    """
    check_broadcast(name, array, shape)
    return jnp.broadcast_to(array, shape)


HEAD_AXES = "(*batch, heads, queries, keys)"


def align_to_scores(
    name: str, array: jax.Array, shape: tuple[int, ...], axes: str = "(*batch, queries, keys)"
) -> jax.Array:
    """Return a mask or a bias with the rank of the scores, and ones where it is shared.

    It has that rank already, or is `(q, k)` or `(k,)` and shared by the whole batch and all heads.
    A rank in between is refused, for which axes it means would depend on the sizes.

    Args:
        name: `mask` or `bias`.
        array: The mask or bias.
        shape: The shape of the scores.
        axes: The names of the scores' axes, for errors.

    Raises:
        ValueError: If the rank is none of the three, or the array does not broadcast.
    """
    rank = len(shape)
    if not 0 < array.ndim <= rank or 2 < array.ndim < rank:
        raise ValueError(
            f"{name} of shape {array.shape} has {array.ndim} axes. It needs those of the scores, "
            f"{axes} = {shape} (size one where it is shared), or (queries, keys) or (keys,) alone. "
            f"{name}[:, None] adds an axis of heads after the batch; {name}[None] adds a batch."
        )
    sizes = (1,) * (rank - array.ndim) + array.shape
    if any(s not in (1, t) for s, t in zip(sizes, shape, strict=True)):
        raise ValueError(
            f"{name} of shape {array.shape} does not broadcast to the scores' {axes} = {shape}."
            + " To hide keys of each sequence, give key_mask, (*batch, keys)." * (name == "mask")
        )
    return array.reshape(sizes)


def as_float(*arrays: jax.Array) -> tuple[jax.Array, ...]:
    """Convert integers and booleans to float32 (float64 if 64 bits are enabled)."""
    return tuple(
        x if jnp.issubdtype(x.dtype, jnp.inexact) else jnp.asarray(x, float) for x in arrays
    )


def check_mask(mask: jax.Array, name: str = "mask") -> None:
    """Check that a mask is boolean.

    Raises:
        TypeError: If the mask has another type; a mask of floats is a `bias`.
    """
    if mask.dtype != jnp.bool_:
        raise TypeError(
            f"{name} must be boolean (True = may attend), not {mask.dtype}; numbers that are added "
            "to the scores go in bias."
        )

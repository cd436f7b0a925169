"""One model, as a pure function of arrays, with the truth about its attention."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Case:
    """A model and what its own library, or a computation by hand, says of it.

    Attributes:
        fn: The model, a pure function of arrays.
        args: Its arguments.
        truth: The weights of every attention, `(*b, h, q, k)`, by the names they should have.
        site: The attention whose heads `scaled` scales.
        scaled: The output of the model with each head of that attention multiplied by a factor.
            It knows nothing of hooks: it scales the rows of the projection after the heads.
        head_axis: The axis of the heads from the right, where the program does not tell it.
    """

    fn: Callable[..., jax.Array]
    args: tuple[Any, ...]
    truth: dict[str, jax.Array]
    site: str
    scaled: Callable[[jax.Array], jax.Array]
    head_axis: int | None = None


@dataclasses.dataclass(frozen=True)
class Library:
    """A library, with the models that are tried.

    Attributes:
        name: As the table calls it.
        package: The package whose version the table gives.
        lines: What a user writes, with `model` and the arguments in hand.
        models: A builder of each model.
    """

    name: str
    package: str
    lines: str
    models: dict[str, Callable[[], Case]]


def scaled_heads(params: Any, path: str, scale: jax.Array, axis: int = 0) -> Any:
    """Return parameters with the rows of an output projection scaled, head by head.

    Args:
        params: A nested dictionary of parameters.
        path: The kernel of the projection, its keys joined by slashes.
        scale: A factor for each head, `(h,)`.
        axis: The axis of the kernel that holds the features of all heads.
    """
    first, _, rest = path.partition("/")
    if rest:
        return {**params, first: scaled_heads(params[first], rest, scale, axis)}
    kernel = params[first]
    rows = jnp.repeat(scale, kernel.shape[axis] // scale.size)
    return {**params, first: kernel * jnp.expand_dims(rows, 1 - axis)}


def part(stack: Any, i: int) -> Any:
    """Return one layer of parameters that are stacked."""
    return jax.tree.map(lambda w: w[i] if isinstance(w, jax.Array) else w, stack)


def attend(query: jax.Array, key: jax.Array, bias: Any = 0.0) -> jax.Array:
    """Return the weights of scaled dot-product attention, written by hand.

    Args:
        query: Queries, `(*b, q, h, d)`.
        key: Keys, `(*b, k, h, d)`.
        bias: Added to the scores.
    """
    scores = jnp.einsum("...qhd,...khd->...hqk", query, key) / query.shape[-1] ** 0.5 + bias
    weights = jnp.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def loss(out: jax.Array) -> jax.Array:
    """Return a number that depends on every part of an output, and not evenly."""
    factors = jnp.cos(jnp.arange(out.size, dtype=out.dtype)).reshape(out.shape)
    return (out * factors).sum()

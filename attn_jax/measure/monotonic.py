"""Alignments in which both sides keep their order, as those of speech and its transcript."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def monotonic_links(weights: Float[Array, "*b t s"]) -> Bool[Array, "*b t s"]:
    """Link source tokens to target tokens in order, along the path of the largest sum of weights.

    Every source token, such as a frame of sound, is linked to one target token, and every target
    token to at least one source token. The first source token of each is where it begins.

    Args:
        weights: Cross-attention weights, or any other scores. Padding is not left out: cut it off.

    Returns:
        One link in each column, and at least one in each row.

    Raises:
        ValueError: If there are fewer source tokens than target tokens.

    Example:
        >>> weights = jnp.array([[0.1, 0.2, 0.6, 0.1], [0.5, 0.0, 0.1, 0.4]])
        >>> monotonic_links(weights).astype(int).tolist()
        [[1, 1, 1, 0], [0, 0, 0, 1]]

    References:
        Sakoe and Chiba, "Dynamic Programming Algorithm Optimization for Spoken Word Recognition",
        1978, with steps along the source alone or along both. https://doi.org/10.1109/TASSP.1978.1163055
    """
    targets, sources = weights.shape[-2:]
    if sources < targets:
        raise ValueError(
            f"weights has {sources} source tokens for {targets} target tokens; each target token "
            "needs one of its own."
        )
    return _links_of_best_path(weights)


# Outside of `jit` its loops would compile anew at each call.
@functools.partial(jax.jit, inline=True)
def _links_of_best_path(weights: Array) -> Array:
    targets = weights.shape[-2]
    columns = jnp.moveaxis(weights, -1, 0)
    nothing = jnp.full((*weights.shape[:-2], 1), -jnp.inf, weights.dtype)

    def advance(best: Array, column: Array) -> tuple[Array, Array]:
        previous = jnp.concatenate([nothing, best[..., :-1]], axis=-1)
        return jnp.maximum(previous, best) + column, previous > best

    def go_back(target: Array, moved: Array) -> tuple[Array, Array]:
        has_moved = jnp.take_along_axis(moved, target[..., None], axis=-1)[..., 0]
        return target - has_moved, target

    first_row = (jnp.arange(targets) == 0).reshape((1,) * (weights.ndim - 2) + (-1,))
    _, moved = jax.lax.scan(advance, jnp.where(first_row, columns[0], -jnp.inf), columns[1:])
    last = jnp.full(weights.shape[:-2], targets - 1)
    first, rest = jax.lax.scan(go_back, last, moved, reverse=True)
    path = jnp.concatenate([first[None], rest])
    return jnp.moveaxis(jax.nn.one_hot(path, targets, dtype=bool), 0, -1)

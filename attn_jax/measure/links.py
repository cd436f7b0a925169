"""Links between target and source tokens, from weights and from baselines."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from attn_jax.measure.keywords import rng_by_keyword


def argmax_links(weights: Float[Array, "*b t s"]) -> Bool[Array, "*b t s"]:
    """Link each target token to the source token that it attends to most.

    Args:
        weights: Cross-attention weights. A row of zeros gets no link.

    Returns:
        At most one link in each row; the first if several weights are highest.

    Example:
        >>> argmax_links(jnp.array([[0.2, 0.8], [0.0, 0.0]]))
        Array([[False,  True],
               [False, False]], dtype=bool)
    """
    first = jax.nn.one_hot(weights.argmax(-1), weights.shape[-1], dtype=bool)
    return first & (weights > 0)


def threshold_links(weights: Float[Array, "*b t s"], threshold: float) -> Bool[Array, "*b t s"]:
    """Link each target token to the source tokens with at least this much of its attention.

    Args:
        weights: Cross-attention weights.
        threshold: The lowest weight of a link, above 0 and at most 1.

    Returns:
        Any number of links in each row.

    Raises:
        ValueError: If the threshold is out of range.

    Example:
        >>> threshold_links(jnp.array([[0.4, 0.6], [0.1, 0.9]]), 0.4)
        Array([[ True,  True],
               [False,  True]], dtype=bool)
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold={threshold} must be above 0 and at most 1.")
    return weights >= threshold


def diagonal_links(
    targets: Int[Array, "*b"], sources: Int[Array, "*b"], shape: tuple[int, int]
) -> Bool[Array, "*b t s"]:
    """Link each target token to the source token at the same relative position.

    Args:
        targets: The number of target tokens of each sentence.
        sources: The number of source tokens of each sentence.
        shape: The padded lengths, (t, s).

    Returns:
        One link in each row that is not padding.

    Example:
        >>> diagonal_links(jnp.array(2), jnp.array(4), (3, 4))
        Array([[False,  True, False, False],
               [False, False, False,  True],
               [False, False, False, False]], dtype=bool)
    """
    rows, columns = jnp.arange(shape[0]), jnp.arange(shape[1])
    rows = rows.reshape((1,) * targets.ndim + (-1,))
    linked = (2 * rows + 1) * sources[..., None] // jnp.maximum(2 * targets[..., None], 1)
    links = linked[..., None] == columns.reshape((1,) * (targets.ndim + 1) + (-1,))
    return links & (rows < targets[..., None])[..., None]


@rng_by_keyword
def random_links(
    sources: Int[Array, "*b"], shape: tuple[int, int], *, rng: PRNGKeyArray
) -> Bool[Array, "*b t s"]:
    """Link each target token to a random source token.

    Args:
        sources: The number of source tokens of each sentence.
        shape: The padded lengths, (t, s).
        rng: Random key for the draws.

    Returns:
        One link in each row, padding included.

    Example:
        >>> links = random_links(jnp.array([3, 2]), (5, 4), rng=jax.random.key(0))
        >>> links.shape, bool(links[..., 3].any()), links.sum(-1).tolist()
        ((2, 5, 4), False, [[1, 1, 1, 1, 1], [1, 1, 1, 1, 1]])
    """
    drawn = jax.random.uniform(rng, (*sources.shape, shape[0]))
    linked = jnp.floor(drawn * sources[..., None]).astype(jnp.int32)
    return jax.nn.one_hot(linked, shape[1], dtype=bool)

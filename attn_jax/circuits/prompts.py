"""Tokens on which heads show what they do."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray


def repeated_tokens(
    rng: PRNGKeyArray, vocabulary: int, length: int, batch: int, *, first: int | None = None
) -> Int[Array, "n t"]:
    """Return random tokens followed by the same tokens again.

    No token is drawn twice within a text, so that each has one earlier occurrence in the second
    half and none in the first.

    Args:
        rng: Random key.
        vocabulary: The number of tokens to draw from.
        length: The number of tokens before they repeat.
        batch: The number of texts.
        first: A token to begin each text with, such as that of its beginning.

    Returns:
        `(batch, 2 * length)`, and one more if there is a first token.

    Raises:
        ValueError: If there are fewer tokens than `length`.

    Example:
        >>> repeated_tokens(jax.random.key(0), 50, 3, 2, first=0).shape
        (2, 7)
    """
    tokens = _distinct(rng, vocabulary, length, batch)
    start = jnp.full((batch, 0 if first is None else 1), first or 0)
    return jnp.concatenate([start, tokens, tokens], 1)


class Needles(NamedTuple):
    """Texts with a short passage, the needle, somewhere inside, and again at the end.

    Attributes:
        tokens: The texts, `(n, t)`.
        starts: The position of the first token of each needle, `(n,)`.
        size: The number of its tokens, which are also the last ones of the text.
    """

    tokens: Int[Array, "n t"]
    starts: Int[Array, " n"]
    size: int


def needle_tokens(
    rng: PRNGKeyArray, vocabulary: int, length: int, size: int, batch: int
) -> Needles:
    """Return random texts with a needle at a random place, which is asked for at the end.

    The token before the needle comes again after the text, as the question, and then the needle, as
    the answer. No other token occurs twice.

    Args:
        rng: Random key.
        vocabulary: The number of tokens to draw from.
        length: The number of tokens of a text without question and answer.
        size: The number of tokens of the needle.
        batch: The number of texts.

    Returns:
        Texts of `length + 1 + size` tokens.

    Raises:
        ValueError: If there are fewer tokens than `length`, or the needle does not fit.

    Example:
        >>> needles = needle_tokens(jax.random.key(0), 50, 20, 3, 4)
        >>> needles.tokens.shape, needles.starts.shape
        ((4, 24), (4,))
    """
    if not 1 <= size < length:
        raise ValueError(
            f"a needle of {size} tokens and the one before it do not fit into length={length}."
        )
    drawing, placing = jax.random.split(rng)
    tokens = _distinct(drawing, vocabulary, length, batch)
    starts = jax.random.randint(placing, (batch,), 1, length - size + 1)
    places = starts[:, None] - 1 + jnp.arange(size + 1)[None]
    return Needles(
        jnp.concatenate([tokens, jnp.take_along_axis(tokens, places, 1)], 1), starts, size
    )


def _distinct(rng: PRNGKeyArray, vocabulary: int, length: int, batch: int) -> Array:
    if length > vocabulary:
        raise ValueError(
            f"length={length} different tokens cannot be drawn from a vocabulary of {vocabulary}."
        )
    rngs = jax.random.split(rng, batch)
    return jax.vmap(lambda rng: jax.random.permutation(rng, vocabulary)[:length])(rngs)

"""Maps between words, out of maps between the pieces of words that a tokenizer makes."""

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int


def merge_subwords(
    weights: Float[Array, "*b q k"],
    source_words: Int[Array | np.ndarray, "*n k"],
    target_words: Int[Array | np.ndarray, "*m q"],
    shape: tuple[int, int] | None = None,
) -> Float[Array, "*b t s"]:
    """Turn a map between tokens into a map between words.

    The weights of a source word's pieces are summed, and those of a target word's pieces averaged:
    `W(t, s) = Σ w(i, j) / |t|` over the pieces `i` of `t` and `j` of `s`. So a row sums to what its
    tokens give to words; the rest is with tokens of no word, such as `[CLS]`.

    Two words are linked by links between their pieces if any pair of these is (Zenkel et al., 2019;
    Garg et al., 2019): `merge_subwords(links.astype(float), ...) > 0`.

    Args:
        weights: Weights from target tokens to source tokens.
        source_words: The index of each source token's word, from 0; negative for tokens of no word,
            such as padding. One row for all maps, or with the first axes of the weights, as
            `(batch, k)` for weights of `(batch, heads, q, k)`.
        target_words: The same for the target tokens.
        shape: The number of target words and of source words. By default the largest that occur;
            needed under `jit`.

    Returns:
        The weights from target words to source words; zeros for a word without tokens.

    Raises:
        ValueError: If the indices do not fit the weights, or the shape does not have room for them.

    Example:
        Two pieces of one target word look at the three tokens of two source words:

        >>> weights = jnp.array([[0.2, 0.3, 0.5], [0.6, 0.4, 0.0]])
        >>> merge_subwords(weights, np.array([0, 0, 1]), np.array([0, 0]))
        Array([[0.75, 0.25]], dtype=float32)

    References:
        Clark, Khandelwal, Levy and Manning, "What Does BERT Look At?", 2019, section 4.1,
        https://arxiv.org/abs/1906.04341; Zenkel, Wuebker and DeNero, "Adding Interpretable
        Attention to Neural Translation Models Improves Word Alignment", 2019,
        https://arxiv.org/abs/1901.11359; Garg, Peitz, Nallasamy and Paulik, "Jointly Learning to
        Align and Translate with Transformer Models", 2019, https://arxiv.org/abs/1909.02074.
    """
    words = {"target_words": jnp.asarray(target_words), "source_words": jnp.asarray(source_words)}
    for axis, (name, each) in zip((-2, -1), words.items(), strict=True):
        _check_fit(name, each.shape, weights.shape, axis)
    shape = _shape(words, shape)
    targets, sources = (
        _membership(each, count, weights.ndim)
        for each, count in zip(words.values(), shape, strict=True)
    )
    summed = jnp.matmul(weights, sources, precision="highest")
    merged = jnp.matmul(targets.mT, summed, precision="highest")
    return merged / jnp.maximum(targets.sum(-2), 1)[..., None]


def _membership(words: Array, count: int, ndim: int) -> Array:
    """Return whether each token belongs to each word, with axes between for heads."""
    between = (1,) * (ndim - 1 - words.ndim)
    words = words.reshape(*words.shape[:-1], *between, words.shape[-1], 1)
    return (words == jnp.arange(count).reshape((1,) * (ndim - 1) + (-1,))).astype(jnp.float32)


def _shape(words: dict[str, Array], shape: tuple[int, int] | None) -> tuple[int, int]:
    """Return the number of words on each side, which their indices must fit."""
    if any(isinstance(each, Tracer) for each in words.values()):
        if shape is None:
            raise ValueError("shape is needed under jit: the numbers of target and source words.")
        return shape
    targets, sources = (int(np.max(each, initial=-1)) + 1 for each in words.values())
    least = targets, sources
    if shape is not None and any(x > y for x, y in zip(least, shape, strict=True)):
        raise ValueError(f"shape={shape} has no room for {least} target and source words.")
    return shape or least


def _check_fit(name: str, words: tuple[int, ...], weights: tuple[int, ...], axis: int) -> None:
    is_shared = words == (weights[axis],)
    batch = words[:-1]
    if not is_shared and not (
        words[-1:] == (weights[axis],) and batch == weights[:-2][: len(batch)]
    ):
        raise ValueError(
            f"{name} has shape {words}, which does not fit weights of shape {weights}; give "
            f"({weights[axis]},) for all maps, or (batch, {weights[axis]})."
        )

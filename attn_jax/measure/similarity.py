"""Word alignments from the similarity of the words' vectors, without training."""

from typing import Literal, get_args

import numpy as np
from jaxtyping import Array, Bool, Float

SimilarityMethod = Literal["inter", "itermax", "match"]
"""How similarities become links."""


def similarity_links(
    source: Float[Array | np.ndarray, "s d"],
    target: Float[Array | np.ndarray, "t d"],
    method: SimilarityMethod = "inter",
    *,
    rounds: int = 2,
    discount: float = 0.9,
) -> Bool[np.ndarray, "t s"]:
    """Link the words of two sentences by the similarity of their vectors.

    The similarity is the cosine, brought to 0 to 1 as `(1 + cos) / 2`. `inter` links words that are
    each other's most similar. `itermax` repeats that with the similarities of words that have
    links multiplied by the discount, α, and leaves out pairs of words that both have some: so a
    word can have several links. `match` links the words one to one with the largest sum of
    similarities, as many as the shorter sentence has.

    It runs in NumPy, not under `jit`, and on sentences without padding.

    Args:
        source: A vector for each source word. Where a word has several pieces, average their
            vectors; the hidden states of a middle layer serve better than the last ones.
        target: A vector for each target word, of the same model.
        method: How similarities become links.
        rounds: Repetitions of `itermax`, `n_max` in the paper.
        discount: The factor α of `itermax`, from 0 to 1.

    Returns:
        The links.

    Raises:
        ValueError: If the vectors are not of one size, or an option is out of range.

    Example:
        The third target word is like the second source word, which is more like another:

        >>> source = np.array([[1.0, 0.0], [0.0, 1.0]])
        >>> target = np.array([[0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
        >>> similarity_links(source, target).astype(int).tolist()
        [[1, 0], [0, 1], [0, 0]]
        >>> similarity_links(source, target, "itermax").astype(int).tolist()
        [[1, 0], [0, 1], [0, 1]]

    References:
        Jalili Sabet, Dufter, Yvon and Schütze, "SimAlign: High Quality Word Alignments Without
        Parallel Training Data Using Static and Contextualized Embeddings", 2020, section 2,
        https://aclanthology.org/2020.findings-emnlp.147.
    """
    if method not in get_args(SimilarityMethod):
        options = ", ".join(get_args(SimilarityMethod))
        raise ValueError(f"method={method!r} must be one of {options}.")
    if rounds < 1 or not 0 <= discount <= 1:
        raise ValueError(
            f"rounds={rounds} must be at least 1, and discount={discount} from 0 to 1."
        )
    similarity = _similarity(np.asarray(target, float), np.asarray(source, float))
    if method == "match":
        from scipy.optimize import linear_sum_assignment  # slow to import, and used only here

        links = np.zeros(similarity.shape, bool)
        links[linear_sum_assignment(similarity, maximize=True)] = True
        return links
    return _itermax(similarity, rounds if method == "itermax" else 1, discount)


def _similarity(target: np.ndarray, source: np.ndarray) -> np.ndarray:
    if target.ndim != 2 or source.ndim != 2 or target.shape[1] != source.shape[1]:
        raise ValueError(
            f"source has shape {source.shape} and target {target.shape}; one sentence each is "
            "needed, (s, d) and (t, d)."
        )
    rows, columns = (
        x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-30) for x in (target, source)
    )
    return (1 + rows @ columns.T) / 2


def _itermax(similarity: np.ndarray, rounds: int, discount: float) -> np.ndarray:
    links = np.zeros(similarity.shape, bool)
    if not similarity.size:
        return links
    for _ in range(rounds):
        has_target = links.any(1, keepdims=True)
        has_source = links.any(0, keepdims=True)
        factor = np.where(has_target | has_source, discount, 1) * ~(has_target & has_source)
        links |= _mutual(similarity * factor)
    return links


def _mutual(similarity: np.ndarray) -> np.ndarray:
    """Link words that are each other's most similar; words without any similarity have no link."""
    targets, sources = similarity.shape
    best_of_target = np.arange(sources) == similarity.argmax(1)[:, None]
    best_of_source = np.arange(targets)[:, None] == similarity.argmax(0)
    return best_of_target & best_of_source & (similarity > 0)

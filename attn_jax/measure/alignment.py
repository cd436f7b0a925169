"""Word alignments and their scores: error rate, precision, recall and F.

Links are booleans `(t, s)`: whether a target token is aligned with a source token. Gold links are
*sure* or only *possible*; every sure link is also possible.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from attn_jax.measure.keywords import rng_by_keyword


class AlignmentCounts(NamedTuple):
    """Counts of links; the counts of sentences add up to those of a corpus.

    The scores are the standard ones, for which every link counts. `linked_only()` gives those of
    the target words with gold; say beside a number which of them it is.

    Attributes:
        guessed: The links of the alignment, `|A|`.
        sure: The sure links, `|S|`.
        guessed_sure: The links that are sure, `|A ∩ S|`.
        guessed_possible: The links that are possible, `|A ∩ P|`.
        guessed_unlinked: The links of target words that have no gold link, all of them wrong.
    """

    guessed: Int[Array, "*b"]
    sure: Int[Array, "*b"]
    guessed_sure: Int[Array, "*b"]
    guessed_possible: Int[Array, "*b"]
    guessed_unlinked: Int[Array, "*b"]

    def total(self) -> "AlignmentCounts":
        """Return the counts of all sentences together."""
        return AlignmentCounts(*(count.sum() for count in self))

    def linked_only(self) -> "AlignmentCounts":
        """Return the counts without the target words that have no gold link.

        Such a word is often one that people did not link, or that has no counterpart. The scores
        are better than the standard ones, and must not be compared with published ones.
        """
        return self._replace(
            guessed=self.guessed - self.guessed_unlinked,
            guessed_unlinked=jnp.zeros_like(self.guessed_unlinked),
        )

    @property
    def precision(self) -> Float[Array, "*b"]:
        """The precision, `|A ∩ P| / |A|`; NaN where the alignment has no links."""
        return _ratio(self.guessed_possible, self.guessed)

    @property
    def recall(self) -> Float[Array, "*b"]:
        """The recall, `|A ∩ S| / |S|`; NaN where there are no sure links."""
        return _ratio(self.guessed_sure, self.sure)

    @property
    def error_rate(self) -> Float[Array, "*b"]:
        """The alignment error rate, `1 - (|A ∩ S| + |A ∩ P|) / (|A| + |S|)`; NaN without links."""
        return 1 - _ratio(self.guessed_sure + self.guessed_possible, self.guessed + self.sure)

    @property
    def f_measure(self) -> Float[Array, "*b"]:
        """The harmonic mean of precision and recall."""
        return self.weighted_f(0.5)

    def weighted_f(self, alpha: float) -> Float[Array, "*b"]:
        """Return 1 / (α / precision + (1 - α) / recall), as in Fraser and Marcu (2007).

        It is 0 where the alignment has no links but there are sure ones, and NaN without sure
        links.
        """
        precision = jnp.where(jnp.isnan(self.precision), 0, self.precision)
        mixed = alpha * self.recall + (1 - alpha) * precision
        return jnp.where(mixed == 0, 0, precision * self.recall / jnp.maximum(mixed, 1e-30))


def _ratio(part: ArrayLike, whole: ArrayLike) -> Array:
    part, whole = jnp.asarray(part), jnp.asarray(whole)
    return jnp.where(whole == 0, jnp.nan, part / jnp.maximum(whole, 1))


def alignment_counts(
    guess: Bool[Array, "*b t s"],
    sure: Bool[Array, "*b t s"],
    possible: Bool[Array, "*b t s"] | None = None,
    mask: Bool[Array, "*b t"] | None = None,
) -> AlignmentCounts:
    """Count the links of an alignment, and those of them that are right.

    Args:
        guess: The links of the alignment.
        sure: Gold links that must be in it.
        possible: Gold links that may be in it; the sure ones by default.
        mask: True for the target tokens that count; leave out padding. Words without gold count:
            their links are wrong. `.linked_only()` leaves them out afterwards.

    Returns:
        The counts of each sentence; `.total()` gives those of the corpus.

    Raises:
        ValueError: If the shapes of the links differ, or the mask does not fit them.

    Example:
        >>> guess = jnp.array([[True, False], [False, True]])
        >>> sure = jnp.array([[True, False], [False, False]])
        >>> counts = alignment_counts(guess, sure, possible=jnp.ones((2, 2), bool))
        >>> float(counts.error_rate), float(counts.precision), float(counts.recall)
        (0.0, 1.0, 1.0)

        The second target word has no gold here, so its link is an error, unless it is left out:

        >>> counts = alignment_counts(guess, sure)
        >>> [round(float(c.error_rate), 3) for c in (counts, counts.linked_only())]
        [0.333, 0.0]

    References:
        Och and Ney, "A Systematic Comparison of Various Statistical Alignment Models", 2003,
        section 5, https://aclanthology.org/J03-1002; Fraser and Marcu, "Measuring Word Alignment
        Quality for Statistical Machine Translation", 2007, section 3,
        https://aclanthology.org/J07-3002.
    """
    possible = sure if possible is None else possible | sure
    shapes = {"guess": guess.shape, "sure": sure.shape, "possible": possible.shape}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"the links have shapes {shapes}; all must have the same, (*b, t, s).")
    if mask is not None:
        if mask.shape != guess.shape[:-1]:
            raise ValueError(
                f"mask has shape {mask.shape}, but {guess.shape[:-1]} is needed, one boolean for "
                "each target token."
            )
        guess, sure, possible = (x & mask[..., None] for x in (guess, sure, possible))
    unlinked = guess & ~possible.any(-1, keepdims=True)
    links = (guess, sure, guess & sure, guess & possible, unlinked)
    return AlignmentCounts(*(x.sum((-2, -1)) for x in links))


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

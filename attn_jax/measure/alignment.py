"""Scores of word alignments: error rate, precision, recall and F.

Links are booleans `(t, s)`: whether a target token is aligned with a source token. Gold links are
*sure* or only *possible*; every sure link is also possible.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int


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

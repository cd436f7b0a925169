"""The task of writing a short summary of a document."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from attn_jax.tasks.own_tables import split_at_random
from attn_jax.tasks.summaries.own import read_own
from attn_jax.tasks.summaries.packages import read_pairs
from attn_jax.tasks.summaries.pair import Pair
from attn_jax.tasks.translation.tokens import (
    END,
    SPECIALS,
    UNKNOWN,
    VocabularyTokenizer,
    train_vocabulary,
)

__all__ = ["Summaries"]

_SHORT = 9
"""The most words of a short summary; two of three are short."""


@dataclasses.dataclass(frozen=True)
class Summaries:
    """Documents and summaries: the docstrings of Python packages, whose first line is the summary.

    The first line of a docstring is to be written from the rest. The docstrings are read from the
    source text of pinned wheels of packages with permissive licenses, and no package is in two
    splits. A word that the vocabulary does not have is numbered after the vocabulary, by its first
    place in the document, so that a model can copy it. In training, words that the vocabulary has
    are treated in the same way at random, so that there is enough to copy.

    With `path` the documents are your own: a UTF-8 file of tab-separated columns `document` and
    `summary`.

    Raises:
        ValueError: If a setting is out of its range.

    Example:
        >>> task = Summaries()
        >>> pair = task.pairs("test")[0]  # doctest: +SKIP

    References:
        Numbers of copied words after See, Liu and Manning, "Get To The Point: Summarization with
        Pointer-Generator Networks", 2017, section 2.2, https://arxiv.org/abs/1704.04368
    """

    train: int = 10_000
    """The most training pairs."""

    validation: int = 1000
    """The most validation pairs; of your own, at most a tenth."""

    test: int = 2000
    """The most test pairs; of your own, at most a tenth."""

    length: int = 64
    """The number of words at which documents are cut."""

    vocabulary_size: int = 3000
    """The largest vocabulary. Of a smaller one, more words must be copied."""

    hidden: float = 0.2
    """The share of the vocabulary that each training batch treats as unknown."""

    path: Path | None = None
    """A file of your own documents and summaries. None reads docstrings."""

    seed: int = 0
    """The seed for splitting your own."""

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test", "length"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        self._require("seed", self.seed >= 0, "at least 0")
        self._require("vocabulary_size", self.vocabulary_size >= 5, "at least 5")
        self._require("hidden", 0 <= self.hidden < 1, "at least 0 and below 1")

    def _require(self, name: str, is_valid: bool, condition: str) -> None:
        if not is_valid:
            raise ValueError(f"{name}={getattr(self, name)} must be {condition}.")

    @functools.cached_property
    def _splits(self) -> dict[str, list[Pair]]:
        if self.path is None:
            splits = read_pairs()
        else:
            path = Path(self.path)
            splits = split_at_random(
                read_own(path),
                "pairs",
                validation=self.validation,
                test=self.test,
                seed=self.seed,
                origin=str(path),
            )
        return {split: pairs[: getattr(self, split)] for split, pairs in splits.items()}

    def pairs(self, split: str) -> list[Pair]:
        """Return the pairs of a split, in the order of :meth:`load`.

        Raises:
            ValueError: If there is no such split.
        """
        if split not in self._splits:
            raise ValueError(f"split={split!r} is not one of {', '.join(sorted(self._splits))}.")
        return self._splits[split]

    @functools.cached_property
    def tokenizer(self) -> VocabularyTokenizer:
        """The vocabulary of the training pairs."""
        words = [
            part for pair in self.pairs("train") for part in (self.document(pair), pair.summary)
        ]
        return train_vocabulary(words, "blanks", self.vocabulary_size)

    def document(self, pair: Pair) -> tuple[str, ...]:
        """Return the words of a document that a model sees."""
        return pair.document[: self.length]

    def words(self, pair: Pair, numbers: Sequence[int]) -> list[str]:
        """Return the words of the numbers of a summary of a document, up to its end."""
        vocabulary, size = self.tokenizer.vocabulary, self.tokenizer.size
        ends = [place for place, number in enumerate(numbers) if number == END]
        return [
            vocabulary[number] if number < size else pair.document[number - size]
            for number in numbers[: ends[0] if ends else None]
        ]

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of a model: `vocabulary`, and `copies`, the words of a document."""
        return {"vocabulary": self.tokenizer.size, "copies": self.length}

    def load(self) -> dict[str, list[dict[str, np.ndarray]]]:
        """Read the pairs.

        Returns:
            `train`, `validation` and `test`, each a list of buckets by the length of the summary:
            `source`, int32 (n, s), the words of documents, and `target`, int32 (n, t), those of
            summaries and the end, both padded with zeros; and `row`, the index into :meth:`pairs`.
            A word that the vocabulary does not have has the number of its first place in the
            document, after those of the vocabulary; in a summary it is `UNKNOWN` if the document
            does not have it either.

        Raises:
            FileNotFoundError: If there is no file at `path`, or docstrings cannot be fetched.
            ValueError: If it cannot be used. The message says where, why, and the way out.
        """
        return self._loaded

    @functools.cached_property
    def _loaded(self) -> dict[str, list[dict[str, np.ndarray]]]:
        return {split: self._buckets(pairs) for split, pairs in self._splits.items()}

    @functools.cached_property
    def most_words(self) -> int:
        """The most words of a summary."""
        return max(len(pair.summary) for split in self._splits.values() for pair in split)

    def _buckets(self, pairs: Sequence[Pair]) -> list[dict[str, np.ndarray]]:
        lengths = np.array([len(pair.summary) for pair in pairs])
        edges = sorted({min(_SHORT, self.most_words), self.most_words})
        place = np.searchsorted(edges, lengths)
        return [
            self._bucket(pairs, rows.astype(np.int32), edge + 1)
            for number, edge in enumerate(edges)
            if len(rows := np.flatnonzero(place == number))
        ]

    def _bucket(self, pairs: Sequence[Pair], rows: np.ndarray, width: int) -> dict[str, np.ndarray]:
        source = np.zeros((len(rows), self.length), np.int32)
        target = np.zeros((len(rows), width), np.int32)
        for place, row in enumerate(rows):
            pair = pairs[row]
            document = self.document(pair)
            first = {word: at for at, word in reversed([*enumerate(document, self.tokenizer.size)])}
            for array, words in ((source, document), (target, pair.summary)):
                numbers = self.tokenizer.numbers(words)
                array[place, : len(words)] = [
                    first.get(word, UNKNOWN) if number == UNKNOWN else number
                    for word, number in zip(words, numbers, strict=True)
                ]
            target[place, len(pair.summary)] = END
        return {"source": source, "target": target, "row": rows}

    def prepare(
        self, batch: Mapping[str, Array | np.ndarray], rng: PRNGKeyArray | None = None
    ) -> dict[str, Array]:
        """Convert a batch to JAX arrays, and in training hide some words of the vocabulary.

        Args:
            batch: Rows of a bucket.
            rng: The random key for the words to hide, the same in the whole batch. None hides none.
        """
        arrays = {name: jnp.asarray(array) for name, array in batch.items()}
        if rng is None or not self.hidden:
            return arrays
        size = self.tokenizer.size
        hidden = jax.random.bernoulli(rng, self.hidden, (size,)).at[: len(SPECIALS)].set(False)
        source = arrays["source"]

        def hide(words: Array) -> Array:
            same = words[..., None] == source[:, None]
            hides = hidden[jnp.minimum(words, size - 1)] & (words < size) & same.any(-1)
            return jnp.where(hides, size + same.argmax(-1), words)

        return {**arrays, "source": hide(source), "target": hide(arrays["target"])}

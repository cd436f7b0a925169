"""The task of classifying texts whose evidence is known."""

import dataclasses
import functools
import warnings
from collections.abc import Mapping
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from attn_jax.tasks.planted_evidence.generated import draw_texts
from attn_jax.tasks.planted_evidence.own import read_texts, split_texts
from attn_jax.tasks.planted_evidence.text import Text
from attn_jax.tasks.translation.tokens import VocabularyTokenizer, train_vocabulary

__all__ = ["PlantedEvidence"]


@dataclasses.dataclass(frozen=True)
class PlantedEvidence:
    """Texts to classify, of which a word or two decide the class.

    A generated text has a clause that judges, such as *the soup was not very good*, among others
    that look alike and judge nothing, such as *the door was never so narrow*. Half of the words of
    evidence are negated, and neutral words too, so that no word alone tells the class: neither the
    word of evidence, nor a negation, nor any count of words that leaves out what stands beside
    what. The evidence is the judging word and its negation.

    With `path` the texts are your own: a UTF-8 file of tab-separated columns `text` and `label`,
    and `evidence` if you know which words decide.

    Raises:
        ValueError: If a setting is out of its range.

    Example:
        >>> task = PlantedEvidence(train=50, validation=2, test=2)
        >>> task.classes
        ('negative', 'positive')
        >>> text = task.texts("test")[0]
        >>> len(text.evidence) in (1, 2)
        True

    References:
        The question whether attention finds evidence: Jain and Wallace, "Attention is not
        Explanation", 2019, https://arxiv.org/abs/1902.10186.
    """

    train: int = 20_000
    """The number of training texts. Your own file gives all that it has, at most this number."""

    validation: int = 1000
    """The number of validation texts, at most a tenth of your own."""

    test: int = 2000
    """The number of test texts, at most a tenth of your own."""

    clauses: tuple[int, int] = (3, 6)
    """The fewest and the most clauses of a generated text."""

    path: Path | None = None
    """A file of your own texts. None generates texts."""

    vocabulary_size: int = 10_000
    """The largest vocabulary of your own texts."""

    max_length: int = 128
    """The most words in a text of your own. Longer ones are left out and counted."""

    seed: int = 0
    """The seed for drawing texts, and for splitting your own."""

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test", "max_length"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        self._require("seed", self.seed >= 0, "at least 0")
        self._require("vocabulary_size", self.vocabulary_size >= 5, "at least 5")
        ordered = 1 <= self.clauses[0] <= self.clauses[1]
        self._require("clauses", ordered, "two numbers from 1, the lower first")

    def _require(self, name: str, is_valid: bool, condition: str) -> None:
        if not is_valid:
            raise ValueError(f"{name}={getattr(self, name)} must be {condition}.")

    @functools.cached_property
    def _splits(self) -> dict[str, list[Text]]:
        counts = {"train": self.train, "validation": self.validation, "test": self.test}
        if self.path is None:
            rngs = (np.random.default_rng([self.seed, number]) for number in range(3))
            return {
                split: draw_texts(count, self.clauses, rng)
                for (split, count), rng in zip(counts.items(), rngs, strict=True)
            }
        path = Path(self.path)
        texts = read_texts(path)
        short = [text for text in texts if len(text.words) <= self.max_length]
        if excess := len(texts) - len(short):
            warnings.warn(
                f"{path}: left out {excess} texts with more than max_length={self.max_length} "
                "words.",
                stacklevel=2,
            )
        splits = split_texts(
            short, validation=self.validation, test=self.test, seed=self.seed, origin=str(path)
        )
        return splits | {"train": splits["train"][: self.train]}

    def texts(self, split: str) -> list[Text]:
        """Return the texts of a split, in the order of :meth:`load`.

        Raises:
            ValueError: If there is no such split.
        """
        if split not in self._splits:
            raise ValueError(f"split={split!r} is not one of {', '.join(sorted(self._splits))}.")
        return self._splits[split]

    @functools.cached_property
    def tokenizer(self) -> VocabularyTokenizer:
        """The vocabulary of the training texts."""
        words = [text.words for text in self.texts("train")]
        return train_vocabulary(words, "words", self.vocabulary_size)

    @functools.cached_property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of their numbers."""
        return tuple(sorted({text.label for split in self._splits.values() for text in split}))

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of a model: `vocabulary` and `num_classes`."""
        return {"vocabulary": self.tokenizer.size, "num_classes": len(self.classes)}

    def load(self) -> dict[str, list[dict[str, np.ndarray]]]:
        """Draw or read the texts.

        Returns:
            `train`, `validation` and `test`, each a list of one bucket: `tokens`, int32 (n, k),
            padded with zeros; `evidence`, booleans (n, k), True for the words that decide; and
            `label`, int32 (n,).

        Raises:
            FileNotFoundError: If there is no file at `path`.
            ValueError: If it cannot be used. The message says where, why, and the way out.
        """
        longest = max(len(text.words) for split in self._splits.values() for text in split)
        return {
            split: [self._bucket(self._splits[split], longest)]
            for split in ("train", "validation", "test")
        }

    def _bucket(self, texts: list[Text], longest: int) -> dict[str, np.ndarray]:
        tokens = np.zeros((len(texts), longest), np.int32)
        evidence = np.zeros(tokens.shape, bool)
        for row, text in enumerate(texts):
            tokens[row, : len(text.words)] = self.tokenizer.numbers(text.words)
            evidence[row, list(text.evidence)] = True
        label = np.array([self.classes.index(text.label) for text in texts], np.int32)
        return {"tokens": tokens, "evidence": evidence, "label": label}

    def prepare(
        self, batch: Mapping[str, Array | np.ndarray], rng: PRNGKeyArray | None = None
    ) -> dict[str, Array]:
        """Convert a batch to JAX arrays.

        Args:
            batch: Rows of a bucket.
            rng: Ignored.
        """
        return {name: jnp.asarray(array) for name, array in batch.items()}

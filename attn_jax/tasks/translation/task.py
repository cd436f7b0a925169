"""The task of translation, with pairs from several sources."""

import dataclasses
import functools
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from attn_jax.tasks.translation.bitext import read_bitext
from attn_jax.tasks.translation.buckets import make_buckets
from attn_jax.tasks.translation.example import Example
from attn_jax.tasks.translation.generated import GENERATED
from attn_jax.tasks.translation.pairs import Corpus, drop_duplicates, split_pairs
from attn_jax.tasks.translation.tfds_pairs import read_tfds_pairs
from attn_jax.tasks.translation.tokenized import Tokenized, tokenize
from attn_jax.tasks.translation.tokens import Tokenizer, normalize
from attn_jax.tasks.translation.tsv import read_tsv

__all__ = ["REAL", "Translation"]


REAL = ("bitext", "tsv", "tfds")
"""The names of the tasks whose pairs people wrote."""
# One dataclass serves all tasks, so that `--task.name` can switch between them on the command line.
# This is the price: each option that only some of them have is listed here, and refused elsewhere.
_TAKEN_BY = {
    "corpus": ("bitext",),
    "language": ("bitext",),
    "path": ("tsv",),
    "dataset": ("tfds",),
    "languages": ("tfds",),
    "folder": ("tfds",),
    "level": REAL,
    "vocabulary_size": REAL,
    "max_length": REAL,
}


@dataclasses.dataclass(frozen=True)
class Translation:
    """Pairs of sentences to translate, as text and as rows of numbers.

    `dates`, `reverse` and `grammar` are generated, and their alignments are known. `bitext` holds
    short real sentences, fetched once. `tsv` is your own file, and `tfds` any set of pairs in
    TensorFlow Datasets. No sentence is in two splits, whatever its case, blanks and punctuation.

    Raises:
        ValueError: If an option is out of its range, is missing, or belongs to another task.

    Example:
        >>> task = Translation(name="reverse", train=500, validation=2, test=2)
        >>> task.sizes["source_vocabulary"] <= 4 + 26
        True
        >>> pair = task.examples("test")[0]
        >>> pair.source_text[::-1] == pair.target_text
        True
        >>> bucket = task.load()["test"][0]
        >>> task.target_tokenizer.decode(bucket["target"][0]) in {
        ...     pair.target_text for pair in task.examples("test")
        ... }
        True
    """

    name: Literal["dates", "reverse", "grammar", "bitext", "tsv", "tfds"] = "dates"
    """The source of the pairs."""

    train: int | None = None
    """The number of training pairs. None takes all real pairs, generates 20,000, or 50,000 for
    grammar, whose words would otherwise be too rare."""

    validation: int = 1000
    """The number of validation pairs. Of real pairs it takes at most a tenth."""

    test: int = 2000
    """The number of test pairs. Of real pairs it takes at most a tenth."""

    corpus: Literal["homeassistant", "jupyterlab"] = "homeassistant"
    """The corpus of bitext: homeassistant has many pairs (68 MB), jupyterlab few (0.2 MB)."""

    language: str = "fr"
    """The language that bitext translates English into: fr, de, zh-Hans or another code."""

    path: Path | None = None
    """The file of pairs that tsv reads."""

    dataset: str | None = None
    """The name of the TFDS set that tfds reads, such as ted_hrlr_translate/pt_to_en."""

    languages: tuple[str, str] | None = None
    """The source and target languages of the TFDS set. None uses the set's own choice."""

    folder: Path | None = None
    """The folder of prepared TFDS sets. None uses TFDS_DATA_DIR or ~/tensorflow_datasets."""

    level: Literal["characters", "words", "subwords", "blanks"] | None = None
    """The level of the tokens of real pairs. None uses subwords, or blanks if a tsv has links."""

    vocabulary_size: int = 4000
    """The largest vocabulary for each side of real pairs."""

    max_length: int = 64
    """The most tokens in a real sentence. Pairs with longer ones are left out and counted."""

    seed: int = 0
    """The seed for generating pairs, and for splitting real ones."""

    def __post_init__(self) -> None:
        if self.name not in (*GENERATED, *REAL):
            raise ValueError(f"name={self.name!r} is not one of {', '.join((*GENERATED, *REAL))}.")
        for field in dataclasses.fields(self):
            takers = _TAKEN_BY.get(field.name)
            value = getattr(self, field.name)
            if takers and self.name not in takers and value != field.default:
                raise ValueError(
                    f"{field.name}={value!r} is an option of {', '.join(takers)}, not of the task "
                    f"{self.name!r}; leave it out, or choose another name."
                )
        for name in ("train", "validation", "test", "max_length"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value} must be at least 1.")
        if self.seed < 0:
            raise ValueError(f"seed={self.seed} must be at least 0.")
        if self.vocabulary_size < 5:
            raise ValueError(
                f"vocabulary_size={self.vocabulary_size} must be at least 5: four special tokens "
                "and one of text."
            )
        for task, name in (("tsv", "path"), ("tfds", "dataset")):
            if self.name == task and getattr(self, name) is None:
                raise ValueError(f"the task {task!r} needs a {name}; set it with --task.{name}.")

    @functools.cached_property
    def _corpus(self) -> Corpus:
        """The examples. Real pairs have no tokens yet, unless they came with links."""
        corpus = self._all_pairs()
        train = corpus.splits["train"][: self.train]
        if excess := len(corpus.splits["train"]) - len(train):
            corpus.skipped[f"beyond train={self.train}"] += excess
        return Corpus(corpus.splits | {"train": train}, corpus.skipped)

    def _all_pairs(self) -> Corpus:
        counts = {"validation": self.validation, "test": self.test, "seed": self.seed}
        if self.name in GENERATED:
            generated = GENERATED[self.name]
            train = generated.usual if self.train is None else self.train
            return Corpus(generated.examples(train=train, **counts))
        if self.name == "tfds":
            assert self.dataset is not None
            return read_tfds_pairs(self.dataset, self.languages, self.folder, **counts)
        if self.name == "tsv":
            assert self.path is not None
            pairs, linked, skipped = read_tsv(Path(self.path))
            if linked and self.level not in (None, "blanks"):
                raise ValueError(
                    f"level={self.level!r}, but the links of {self.path} count tokens separated by "
                    "blanks; leave out the level, or rename the column alignment."
                )
            origin = str(self.path)
        else:
            pairs, skipped = read_bitext(self.corpus, self.language)
            origin = f"{self.corpus} in {self.language}"
        pairs = drop_duplicates(pairs, skipped)
        return Corpus(split_pairs(pairs, origin=origin, **counts), skipped)

    @functools.cached_property
    def _tokenized(self) -> Tokenized:
        corpus = self._corpus
        if self.name in GENERATED:
            return tokenize(corpus, GENERATED[self.name].level)
        linked = any(pair.source for pair in corpus.splits["train"])
        level = self.level or ("blanks" if linked else "subwords")
        tokenized = tokenize(corpus, level, self.vocabulary_size, self.max_length)
        # The selection of bitext is documented; only what an option leaves out is worth a warning.
        skipped = {
            reason: count
            for reason, count in tokenized.skipped.items()
            if self.name != "bitext" or "=" in reason
        }
        if skipped:
            counts = ", ".join(f"{count} {reason}" for reason, count in skipped.items())
            origin = self.path or self.dataset or f"{self.corpus} in {self.language}"
            warnings.warn(f"{origin}: left out {counts}.", stacklevel=2)
        return tokenized

    @property
    def source_tokenizer(self) -> Tokenizer:
        """The tokenizer of the sources."""
        return self._tokenized.source_tokenizer

    @property
    def target_tokenizer(self) -> Tokenizer:
        """The tokenizer of the targets."""
        return self._tokenized.target_tokenizer

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of a model: `source_vocabulary` and `target_vocabulary`."""
        return {
            "source_vocabulary": self.source_tokenizer.size,
            "target_vocabulary": self.target_tokenizer.size,
        }

    @property
    def skipped(self) -> dict[str, int]:
        """The number of pairs left out, by reason."""
        return dict(self._tokenized.skipped)

    @property
    def has_gold(self) -> bool:
        """Whether the links between tokens are known."""
        return any(pair.possible for pair in self.examples("test"))

    def examples(self, split: str) -> Sequence[Example]:
        """Return the pairs of a split as text, tokens and links.

        Args:
            split: `train`, `validation` or `test`.

        Returns:
            The pairs, in the order of the indices `example` in a bucket.

        Raises:
            ValueError: If there is no such split.
        """
        splits = self._tokenized.splits
        if split not in splits:
            raise ValueError(f"split={split!r} is not one of {', '.join(splits)}.")
        return splits[split]

    def load(self) -> dict[str, list[dict[str, np.ndarray]]]:
        """Read or generate the pairs, and pad them to a few lengths.

        Returns:
            `train`, `validation` and `test`, each a list of at most six buckets: `source`,
            int32 (n, S), padded with zeros; `target`, int32 (n, T), with the end token and then
            zeros; `example`, int32 (n,), the index in :meth:`examples`.

        Raises:
            FileNotFoundError: If the pairs are not found.
            ValueError: If they cannot be used. The message says why, and the way out.
        """
        return make_buckets(
            {
                split: [self._tokenized.encode(pair) for pair in examples]
                for split, examples in self._tokenized.splits.items()
            }
        )

    def normalize_source(self, text: str) -> str:
        """Normalize a text to translate as the training sources are.

        Args:
            text: Any text.

        Returns:
            The text in Unicode's NFC with single blanks, and for `grammar` in lower case.
        """
        return normalize(text.lower() if self.name == "grammar" else text)

    def prepare(
        self, batch: Mapping[str, Array | np.ndarray], rng: PRNGKeyArray | None = None
    ) -> dict[str, Array]:
        """Convert a batch to JAX arrays.

        Args:
            batch: A bucket that :meth:`load` returned, or some of its rows.
            rng: Ignored.

        Returns:
            The batch as JAX arrays.
        """
        return {name: jnp.asarray(array) for name, array in batch.items()}

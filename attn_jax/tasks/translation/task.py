"""The task of translating, whichever pairs it is learnt from."""

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
from attn_jax.tasks.translation.tokenised import Tokenised, tokenise
from attn_jax.tasks.translation.tokens import Tokenizer, normalize
from attn_jax.tasks.translation.tsv import read_tsv

__all__ = ["REAL", "Translation"]


REAL = ("bitext", "tsv", "tfds")
"""The names of those whose pairs people made."""
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
    """Pairs of sentences, as numbers to learn from and as text to be shown.

    ``dates``, ``reverse`` and ``grammar`` are generated and know which token comes from which;
    ``bitext`` is real, short and fetched once; ``tsv`` is a file of one's own; ``tfds`` is any set
    of pairs that TensorFlow Datasets knows. No sentence is in two splits, whatever its case, blanks
    and punctuation.

    Raises:
        ValueError: An option is out of its range, is missing, or belongs to another task.

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
    """Which pairs."""

    train: int | None = None
    """How many to learn from. None for all real ones, for 20,000 generated ones and for 50,000 of
    grammar, whose words would else be too rare."""

    validation: int = 1000
    """How many to select by; of real ones at most a tenth."""

    test: int = 2000
    """How many to be judged by; of real ones at most a tenth."""

    corpus: Literal["homeassistant", "jupyterlab"] = "homeassistant"
    """Which real pairs of English and another language: many, of 68 MB, or few, of 0.2 MB."""

    language: str = "fr"
    """The language that English is translated into, of bitext: fr, de, zh-Hans and others."""

    path: Path | None = None
    """The file of pairs, of tsv."""

    dataset: str | None = None
    """The name that TFDS gives the set, as ted_hrlr_translate/pt_to_en."""

    languages: tuple[str, str] | None = None
    """The languages of the set, from and to; None for what the set itself says."""

    folder: Path | None = None
    """Where TFDS keeps prepared sets; None for its own choice."""

    level: Literal["characters", "words", "subwords", "blanks"] | None = None
    """What a token of real pairs is; None for subwords, or blanks where a tsv brings links."""

    vocabulary_size: int = 4000
    """The most tokens of each side of real pairs."""

    max_length: int = 64
    """The most tokens of a real sentence; pairs with a longer one are left out and counted."""

    seed: int = 0
    """Of what is generated, and of the order that real pairs are split in."""

    def __post_init__(self) -> None:
        if self.name not in (*GENERATED, *REAL):
            raise ValueError(f"name={self.name!r} is none of {', '.join((*GENERATED, *REAL))}.")
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
                raise ValueError(f"the task {task!r} needs its {name}: --task.{name} names it.")

    @functools.cached_property
    def _corpus(self) -> Corpus:
        """The examples, those of real pairs without tokens unless links came with them."""
        corpus = self._all_pairs()
        first = corpus.splits["train"][: self.train]
        if beyond := len(corpus.splits["train"]) - len(first):
            corpus.skipped[f"beyond train={self.train}"] += beyond
        return Corpus(corpus.splits | {"train": first}, corpus.skipped)

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
                    f"level={self.level!r}, but the links of {self.path} count tokens that blanks "
                    "part; leave the level out, or the header and the links."
                )
            origin = str(self.path)
        else:
            pairs, skipped = read_bitext(self.corpus, self.language)
            origin = f"{self.corpus} in {self.language}"
        kept = drop_duplicates(pairs, skipped)
        return Corpus(split_pairs(kept, origin=origin, **counts), skipped)

    @functools.cached_property
    def _tokenised(self) -> Tokenised:
        corpus = self._corpus
        if self.name in GENERATED:
            return tokenise(corpus, GENERATED[self.name].level)
        linked = any(pair.source for pair in corpus.splits["train"])
        level = self.level or ("blanks" if linked else "subwords")
        tokenised = tokenise(corpus, level, self.vocabulary_size, self.max_length)
        # What makes a pair one of a bitext is documented; what an option left out names the option.
        skipped = {
            what: count
            for what, count in tokenised.skipped.items()
            if self.name != "bitext" or "=" in what
        }
        if skipped:
            counted = ", ".join(f"{count} {what}" for what, count in skipped.items())
            origin = self.path or self.dataset or f"{self.corpus} in {self.language}"
            warnings.warn(f"{origin}: left out {counted}.", stacklevel=2)
        return tokenised

    @property
    def source_tokenizer(self) -> Tokenizer:
        """What text to translate is split by."""
        return self._tokenised.source_tokenizer

    @property
    def target_tokenizer(self) -> Tokenizer:
        """What translations are put together by."""
        return self._tokenised.target_tokenizer

    @property
    def sizes(self) -> dict[str, int]:
        """What a model must know of the data."""
        return {
            "source_vocabulary": self.source_tokenizer.size,
            "target_vocabulary": self.target_tokenizer.size,
        }

    @property
    def skipped(self) -> dict[str, int]:
        """How many pairs were left out, by reason."""
        return dict(self._tokenised.skipped)

    @property
    def has_gold(self) -> bool:
        """Whether it is known which token comes from which."""
        return any(pair.possible for pair in self.examples("test"))

    def examples(self, split: str) -> Sequence[Example]:
        """The pairs of a split as text, tokens and links.

        Args:
            split: ``train``, ``validation`` or ``test``.

        Returns:
            Them, in the order that a bucket's ``example`` numbers.

        Raises:
            ValueError: There is no such split.
        """
        splits = self._tokenised.splits
        if split not in splits:
            raise ValueError(f"split={split!r} is none of {', '.join(splits)}.")
        return splits[split]

    def load(self) -> dict[str, list[dict[str, np.ndarray]]]:
        """Reads or makes the pairs, and pads them to a few lengths.

        Returns:
            ``train``, ``validation`` and ``test``, each a list of at most six buckets: ``source``,
            int32 (n, S), ended by zeros; ``target``, int32 (n, T), ended by the end token and
            zeros; ``example``, int32 (n,), the place in :meth:`examples`.

        Raises:
            FileNotFoundError: The pairs are nowhere to be found.
            ValueError: They cannot be used; the message says which, and the way out.
        """
        return make_buckets(
            {
                split: [self._tokenised.encode(pair) for pair in examples]
                for split, examples in self._tokenised.splits.items()
            }
        )

    def normalize_source(self, text: str) -> str:
        """Brings a text to translate to the form of those learnt from.

        Args:
            text: As it was typed.

        Returns:
            It in Unicode's NFC, with single blanks; of `grammar` in lower case.
        """
        return normalize(text.lower() if self.name == "grammar" else text)

    def prepare(
        self, batch: Mapping[str, Array | np.ndarray], rng: PRNGKeyArray | None = None
    ) -> dict[str, Array]:
        """Hands a batch on: numbers need nothing.

        Args:
            batch: As :meth:`load` gives it, or some rows of it.
            rng: Not used.

        Returns:
            The batch, as JAX's arrays.
        """
        return {name: jnp.asarray(array) for name, array in batch.items()}

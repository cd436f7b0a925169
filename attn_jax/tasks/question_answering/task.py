"""The task of answering questions about stories."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from attn_jax.tasks.question_answering.generated import draw_stories
from attn_jax.tasks.question_answering.own import read_stories, split_stories
from attn_jax.tasks.question_answering.story import Story
from attn_jax.tasks.question_answering.words import NAMES, PLACES, THINGS, exchange
from attn_jax.tasks.translation.tokens import UNKNOWN, VocabularyTokenizer, train_vocabulary

__all__ = ["QuestionAnswering"]


@dataclasses.dataclass(frozen=True)
class QuestionAnswering:
    """Stories and questions, each answered by one word and by one, two or three sentences.

    In a generated story people go places, take things and put them down. One fact answers *where
    is Mary*: her last move. Two answer *where is the ball*: who took it last, and where that person
    went last. Three answer *where was the ball before the kitchen*: who took it, when that person
    came to the kitchen, and the move before. No name of a test story ever met one of its places or
    things in training.

    With `path` the stories are your own: a UTF-8 file of tab-separated columns `story`, `question`
    and `answer`, and `facts` if you know which sentences answer.

    Raises:
        ValueError: If a setting is out of its range.

    Example:
        >>> task = QuestionAnswering(facts=2, train=50, validation=2, test=2)
        >>> story = task.stories("test")[0]
        >>> story.sentences[story.facts[1]][-1] == story.answer
        True

    References:
        After tasks 1 to 3 of Weston et al., "Towards AI-Complete Question Answering", 2015,
        section 3, https://arxiv.org/abs/1502.05698; the sentences and words are others.
    """

    facts: Literal[1, 2, 3] = 1
    """The number of sentences that answer a generated question."""

    train: int = 20_000
    """The number of training stories. Your own file gives all that it has, at most this number."""

    validation: int = 1000
    """The number of validation stories, at most a tenth of your own."""

    test: int = 2000
    """The number of test stories, at most a tenth of your own."""

    lengths: tuple[int, int] = (20, 40)
    """The fewest and the most sentences of a generated story."""

    path: Path | None = None
    """A file of your own stories. None generates stories."""

    vocabulary_size: int = 10_000
    """The largest vocabulary of your own stories."""

    seed: int = 0
    """The seed for drawing stories, and for splitting your own."""

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        self._require("seed", self.seed >= 0, "at least 0")
        self._require("vocabulary_size", self.vocabulary_size >= 5, "at least 5")
        ordered = 6 <= self.lengths[0] <= self.lengths[1]
        self._require("lengths", ordered, "two numbers from 6, the lower first")

    def _require(self, name: str, is_valid: bool, condition: str) -> None:
        if not is_valid:
            raise ValueError(f"{name}={getattr(self, name)} must be {condition}.")

    @functools.cached_property
    def _splits(self) -> dict[str, list[Story]]:
        counts = {"train": self.train, "validation": self.validation, "test": self.test}
        if self.path is None:
            rngs = (np.random.default_rng([self.seed, number]) for number in range(3))
            return {
                split: draw_stories(count, self.facts, self.lengths, split, rng)
                for (split, count), rng in zip(counts.items(), rngs, strict=True)
            }
        path = Path(self.path)
        splits = split_stories(
            read_stories(path),
            validation=self.validation,
            test=self.test,
            seed=self.seed,
            path=path,
        )
        return splits | {"train": splits["train"][: self.train]}

    def stories(self, split: str) -> list[Story]:
        """Return the stories of a split, in the order of :meth:`load`.

        Raises:
            ValueError: If there is no such split.
        """
        if split not in self._splits:
            raise ValueError(f"split={split!r} is not one of {', '.join(sorted(self._splits))}.")
        return self._splits[split]

    @functools.cached_property
    def tokenizer(self) -> VocabularyTokenizer:
        """The vocabulary of the training stories."""
        words = [
            sentence
            for story in self.stories("train")
            for sentence in (*story.sentences, story.question)
        ]
        return train_vocabulary(words, "words", self.vocabulary_size)

    @functools.cached_property
    def answers(self) -> tuple[str, ...]:
        """The answers, in the order of their numbers."""
        return tuple(sorted({story.answer for split in self._splits.values() for story in split}))

    @functools.cached_property
    def _shape(self) -> tuple[int, int, int]:
        """The most sentences of a story, and the most words of a sentence and of a question."""
        stories = [story for split in self._splits.values() for story in split]
        return (
            max(len(story.sentences) for story in stories),
            max(len(sentence) for story in stories for sentence in story.sentences),
            max(len(story.question) for story in stories),
        )

    @functools.cached_property
    def _answer_words(self) -> np.ndarray:
        """The number of the word of each answer."""
        return np.array(self.tokenizer.numbers(self.answers), np.int32)

    @functools.cached_property
    def _exchanged(self) -> tuple[np.ndarray, ...] | None:
        """The numbers of names, places and things by group, if generated training has them all."""
        kinds = tuple(
            np.array([self.tokenizer.numbers(group) for group in groups], np.int32)
            for groups in (NAMES, PLACES, THINGS)
        )
        knows_all = self.path is None and all((kind != UNKNOWN).all() for kind in kinds)
        return kinds if knows_all and len(self.answers) == kinds[1].size else None

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of a model: `vocabulary`, `num_answers` and `num_sentences`."""
        return {
            "vocabulary": self.tokenizer.size,
            "num_answers": len(self.answers),
            "num_sentences": self._shape[0],
        }

    def load(self) -> dict[str, list[dict[str, np.ndarray]]]:
        """Draw or read the stories.

        Returns:
            `train`, `validation` and `test`, each a list of one bucket: `story`, int32 (n, s, w),
            the words of each sentence, and `question`, int32 (n, v), both padded with zeros;
            `facts`, int32 (n, f), the sentences that answer, in the order in which they are needed,
            and -1 where none is known; and `label`, int32 (n,). The last sentence is the last row;
            padding comes before the first.

        Raises:
            FileNotFoundError: If there is no file at `path`.
            ValueError: If it cannot be used. The message says where, why, and the way out.
        """
        return {
            split: [self._bucket(self._splits[split])] for split in ("train", "validation", "test")
        }

    def _bucket(self, stories: list[Story]) -> dict[str, np.ndarray]:
        sentences, words, question = self._shape
        most = max(len(story.facts) for split in self._splits.values() for story in split)
        arrays = {
            "story": np.zeros((len(stories), sentences, words), np.int32),
            "question": np.zeros((len(stories), question), np.int32),
            "facts": np.full((len(stories), most), -1, np.int32),
        }
        numbers = self.tokenizer.numbers
        for row, story in enumerate(stories):
            skipped = sentences - len(story.sentences)
            for place, sentence in enumerate(story.sentences, skipped):
                arrays["story"][row, place, : len(sentence)] = numbers(sentence)
            arrays["question"][row, : len(story.question)] = numbers(story.question)
            arrays["facts"][row, : len(story.facts)] = np.add(story.facts, skipped)
        label = np.array([self.answers.index(story.answer) for story in stories], np.int32)
        return {**arrays, "label": label}

    def prepare(
        self, batch: Mapping[str, Array | np.ndarray], rng: PRNGKeyArray | None = None
    ) -> dict[str, Array]:
        """Convert a batch to JAX arrays, and in training exchange the words of generated stories.

        Args:
            batch: Rows of a bucket.
            rng: The random key for exchanging names, places and things, alike in the whole batch,
                so that no story can be learned by heart. It keeps the groups of words that meet
                only in validation and test apart. None leaves the words unchanged.
        """
        arrays = {name: jnp.asarray(array) for name, array in batch.items()}
        if rng is None or self._exchanged is None:
            return arrays
        words = exchange(rng, self._exchanged, self.tokenizer.size)
        answers = jnp.asarray(self._answer_words)
        label = jnp.argmax(words[answers][:, None] == answers[None], axis=1)[arrays["label"]]
        exchanged = {name: words[arrays[name]] for name in ("story", "question")}
        return {**arrays, **exchanged, "label": label.astype(jnp.int32)}

"""The task of answering questions about pictures."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from attn_jax.tasks.translation.tokens import VocabularyTokenizer, train_vocabulary
from attn_jax.tasks.visual_questions.asking import KINDS, ask
from attn_jax.tasks.visual_questions.easy_vqa import SIDE, read_easy_vqa
from attn_jax.tasks.visual_questions.guess import question_only
from attn_jax.tasks.visual_questions.own import read_pictures
from attn_jax.tasks.visual_questions.picture import MOST_BOXES, Picture, Question
from attn_jax.tasks.visual_questions.scene import draw_scene, paint

__all__ = ["VisualQuestions"]

_SPLITS = ("train", "validation", "test")
_TRIES = 100


@dataclasses.dataclass(frozen=True)
class VisualQuestions:
    """Pictures with several questions each, answered by one word.

    The task `shapes` draws 2 to 5 colored shapes on each picture, and asks for the color or the
    shape of one of them, known by the other, by being leftmost, rightmost, highest or lowest, or by
    where it is from another; whether there is such a thing; and whether one is left of, right of,
    above or below another. The boxes of the things and the words that decide each answer are
    known. Five of the thirty pairs of a color and a shape are only on test pictures.

    The task `easy_vqa` is Victor Zhou's set of that name: one shape on each picture, 4,000 training
    pictures, of which `validation` are for that, and 1,000 for testing. `tsv` reads your own: a
    UTF-8 file of tab-separated columns `image`, `question` and `answer`, and `boxes` if you know
    what decides.

    Raises:
        ValueError: If a setting is out of its range.

    Example:
        >>> task = VisualQuestions(train=20, validation=2, test=2)
        >>> question = task.pictures("test")[0].questions[0]
        >>> question.answer in task.answers
        True
    """

    name: Literal["shapes", "easy_vqa", "tsv"] = "shapes"
    """The pictures and questions."""

    train: int = 8000
    """The number of training pictures; other tasks than `shapes` give at most what they have."""

    validation: int = 500
    """The number of validation pictures, at most a tenth of your own."""

    test: int = 1000
    """The number of test pictures, at most a tenth of your own."""

    path: Path | None = None
    """The file of your own questions, for `tsv`."""

    questions: int = 8
    """The most questions about a picture of `shapes`."""

    things: tuple[int, int] = (2, 5)
    """The fewest and the most shapes on a picture of `shapes`."""

    side: int = 64
    """The side of a picture in pixels. Your own pictures are resized to it."""

    seed: int = 0
    """The seed for drawing pictures and questions, or for splitting them."""

    def __post_init__(self) -> None:
        for name in (*_SPLITS, "questions"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        self._require("seed", self.seed >= 0, "at least 0")
        room = {
            "shapes": (64, "at least 64, so that five shapes have room"),
            "tsv": (8, "at least 8"),
        }
        if self.name == "easy_vqa":
            self._require("side", self.side == SIDE, f"{SIDE} for easy_vqa")
        else:
            least, condition = room[self.name]
            self._require("side", self.side >= least, condition)
        if (self.path is None) == (self.name == "tsv"):
            raise ValueError(
                f"name={self.name!r} and path={self.path} do not fit together; --task.name tsv "
                "--task.path questions.tsv reads your own questions."
            )
        ordered = 2 <= self.things[0] <= self.things[1] <= 5
        self._require("things", ordered, "two numbers from 2 to 5, the lower first")

    def _require(self, name: str, is_valid: bool, condition: str) -> None:
        if not is_valid:
            raise ValueError(f"{name}={getattr(self, name)} must be {condition}.")

    @functools.cached_property
    def _pictures(self) -> dict[str, list[Picture]]:
        return _read(self)

    def pictures(self, split: str) -> list[Picture]:
        """Return the pictures of a split, in the order of :meth:`load`.

        Raises:
            ValueError: If there is no such split.
        """
        if split not in _SPLITS:
            raise ValueError(f"split={split!r} is not one of {', '.join(_SPLITS)}.")
        return self._pictures[split]

    def asked(self, split: str) -> list[Question]:
        """Return all questions of a split."""
        return [each for picture in self.pictures(split) for each in picture.questions]

    @functools.cached_property
    def tokenizer(self) -> VocabularyTokenizer:
        """The vocabulary of the training questions."""
        return train_vocabulary([each.words for each in self.asked("train")], "words", 10_000)

    @functools.cached_property
    def answers(self) -> tuple[str, ...]:
        """The answers, in the order of their numbers."""
        return tuple(sorted({each.answer for split in _SPLITS for each in self.asked(split)}))

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of a model: `vocabulary`, `num_answers` and `num_words` of a question."""
        words = max(len(each.words) for split in _SPLITS for each in self.asked(split))
        return {
            "vocabulary": self.tokenizer.size,
            "num_answers": len(self.answers),
            "num_words": words,
        }

    def question_only(self, split: str) -> float:
        """Return the accuracy of the most frequent answer in training to the same question."""
        return question_only(self.asked("train"), self.asked(split))

    def load(self) -> dict[str, list[dict[str, np.ndarray]]]:
        """Draw or read the pictures and questions.

        Returns:
            `train`, `validation` and `test`, each a list of one bucket, with a row for each
            picture: `image`, uint8 (n, side, side, 3); `question`, int32 (n, q, w), the words of
            its questions, padded with zeros; `label`, int32 (n, q), −1 where there is no question;
            `box`, float32 (n, q, 2, 4), the boxes of what decides, (top, left, bottom, right)
            in pixels, zeros where there is none; `keyword`, bool (n, q, w), the words that
            decide; and `is_new`, bool (n, q), whether a question takes a new combination.
        """
        return {split: [self._bucket(self.pictures(split))] for split in _SPLITS}

    def _bucket(self, pictures: Sequence[Picture]) -> dict[str, np.ndarray]:
        most = max(len(p.questions) for split in _SPLITS for p in self.pictures(split))
        shape, words = (len(pictures), most), self.sizes["num_words"]
        arrays = {
            "image": np.stack([picture.pixels for picture in pictures]),
            "question": np.zeros((*shape, words), np.int32),
            "label": np.full(shape, -1, np.int32),
            "box": np.zeros((*shape, MOST_BOXES, 4), np.float32),
            "keyword": np.zeros((*shape, words), bool),
            "is_new": np.zeros(shape, bool),
        }
        for row, picture in enumerate(pictures):
            for place, asked in enumerate(picture.questions):
                here = row, place
                arrays["question"][*here, : len(asked.words)] = self.tokenizer.numbers(asked.words)
                arrays["label"][here] = self.answers.index(asked.answer)
                arrays["box"][here][: len(asked.boxes)] = np.reshape(asked.boxes, (-1, 4))
                arrays["keyword"][here][list(asked.keywords)] = True
                arrays["is_new"][here] = asked.is_new
        return arrays

    def prepare(
        self, batch: Mapping[str, Array | np.ndarray], rng: PRNGKeyArray | None = None
    ) -> dict[str, Array]:
        """Scale the images to [0, 1], and in training mirror half of `easy_vqa`'s.

        Args:
            batch: Rows of a bucket.
            rng: The random key for the mirror images, left to right, of `easy_vqa`, whose questions
                ask for no places. None leaves the pictures as they are.

        Returns:
            The batch with `image` in float32, and `box` as fractions of the side.
        """
        arrays = {name: jnp.asarray(array) for name, array in batch.items()}
        image = arrays["image"].astype(jnp.float32) / 255
        if rng is not None and self.name == "easy_vqa":
            mirrored = jax.random.bernoulli(rng, 0.5, (len(image), 1, 1, 1))
            image = jnp.where(mirrored, jnp.flip(image, 2), image)
        return {**arrays, "image": image, "box": arrays["box"] / self.side}


@functools.lru_cache(maxsize=2)
def _read(task: VisualQuestions) -> dict[str, list[Picture]]:
    counts = {"validation": task.validation, "test": task.test}
    if task.name == "tsv" and task.path is not None:
        splits = read_pictures(Path(task.path), task.side, seed=task.seed, **counts)
    elif task.name == "easy_vqa":
        parts = read_easy_vqa()
        order = np.random.default_rng(task.seed).permutation(len(parts["train"]))
        known = [parts["train"][place] for place in order]
        splits = {
            "train": known[task.validation :],
            "validation": known[: task.validation],
            "test": parts["test"][: task.test],
        }
    else:
        return {
            split: _draw(task, split, np.random.default_rng([task.seed, number]))
            for number, split in enumerate(_SPLITS)
        }
    return splits | {"train": splits["train"][: task.train]}


def _draw(task: VisualQuestions, split: str, rng: np.random.Generator) -> list[Picture]:
    pictures, kinds = [], list(KINDS)
    for _ in range(getattr(task, split)):
        scene = draw_scene(
            int(rng.integers(task.things[0], task.things[1] + 1)), split, task.side, rng
        )
        questions: dict[tuple[str, ...], Question] = {}
        for _ in range(_TRIES):
            asked = ask(scene, kinds[int(rng.integers(len(kinds)))], split, rng)
            if asked is not None:
                questions.setdefault(asked.words, asked)
            if len(questions) == task.questions:
                break
        pictures.append(Picture(paint(scene, task.side, rng), tuple(questions.values())))
    return pictures

"""Needles in a haystack: long sequences of cards, and questions about a few of them."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

__all__ = ["Needle"]


@dataclasses.dataclass(frozen=True)
class Needle:
    """Long sequences of named cards, and questions that each ask for the value of one card.

    A token is a pair: a name and a value. A sequence is a haystack of cards, in any order, followed
    by `questions`: tokens with a name and, in place of a value, the mark `num_values`. Each name in
    a question is on exactly one card, its needle. The other cards have names that no question asks
    for, and values too, so a model that does not find the needle can only guess.

    A model must learn two things: to compare names, which short haystacks teach in a fraction of
    the time, and to attend to one card alone among thousands, which only long ones teach. So the
    training split has both, each in a bucket of its own. Validation and test sequences are long.

    The settings and the split determine all sequences: nothing is stored or fetched.

    Raises:
        ValueError: If a setting is out of its range.

    Example:
        >>> task = Needle(length=11, short_length=7, questions=2, num_names=5, num_values=3)
        >>> haystack = task.load()["test"][0]
        >>> haystack["name"].shape, haystack["needle"].shape
        ((32, 11), (32, 2))
        >>> place = haystack["needle"][0, -1]  # the card of the last question
        >>> bool(haystack["name"][0, place] == haystack["name"][0, -1])
        True

    References:
        Kamradt, Needle In A Haystack, 2023, https://github.com/gkamradt/LLMTest_NeedleInAHaystack;
        several needles with names: Hsieh et al., RULER, 2024, section 3,
        https://arxiv.org/abs/2404.06654.
    """

    length: int = 8192
    """The number of tokens in a long sequence, questions included."""

    short_length: int = 64
    """The number of tokens in a short sequence, questions included."""

    questions: int = 16
    """The number of questions at the end of each sequence."""

    num_names: int = 256
    """The number of different names."""

    num_values: int = 10
    """The number of different values. A random guess is right once in that many times."""

    long_examples: int = 16
    """The number of long training sequences."""

    short_examples: int = 256
    """The number of short training sequences."""

    validation: int = 8
    """The number of validation sequences, which are long."""

    test: int = 32
    """The number of test sequences, which are long."""

    seed: int = 0
    """The seed for drawing the sequences."""

    def __post_init__(self) -> None:
        for name in ("questions", "long_examples", "short_examples", "validation", "test"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        self._require("seed", self.seed >= 0, "at least 0")
        self._require(
            "num_values", self.num_values >= 2, "at least 2, or all cards have the same value"
        )
        setting = f"questions={self.questions}"
        for name in ("length", "short_length"):
            enough = getattr(self, name) > 2 * self.questions
            self._require(
                name, enough, f"more than twice {setting}: each needs a card, among others"
            )
        enough = self.num_names > self.questions
        self._require(
            "num_names", enough, f"more than {setting}: the other cards need names of their own"
        )

    def _require(self, name: str, is_valid: bool, condition: str) -> None:
        if not is_valid:
            raise ValueError(f"{name}={getattr(self, name)} must be {condition}.")

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of a model: `num_names`, `num_values` and `num_questions`."""
        return {
            "num_names": self.num_names,
            "num_values": self.num_values,
            "num_questions": self.questions,
        }

    def load(self) -> dict[str, list[dict[str, np.ndarray]]]:
        """Draw the sequences.

        Returns:
            `train`, a bucket of short and one of long sequences; `validation` and `test`, each one
            bucket of long sequences. A bucket holds int32 arrays: `name` and `value` of shape
            (n, length), and `needle` and `label` of shape (n, questions), the position and the
            value of the card that each question asks for.
        """
        train, validation, test = (np.random.default_rng([self.seed, split]) for split in range(3))
        return {
            "train": [
                self._haystacks(train, self.short_examples, self.short_length),
                self._haystacks(train, self.long_examples, self.length),
            ],
            "validation": [self._haystacks(validation, self.validation, self.length)],
            "test": [self._haystacks(test, self.test, self.length)],
        }

    def _haystacks(
        self, rng: np.random.Generator, count: int, length: int
    ) -> dict[str, np.ndarray]:
        """Draws sequences of one length."""
        cards = length - self.questions
        names = rng.permuted(np.tile(np.arange(self.num_names), (count, 1)), axis=1)
        questions, others = np.split(names, [self.questions], axis=1)
        hay = rng.integers(others.shape[1], size=(count, cards))
        name = np.take_along_axis(others, hay, axis=1)
        places = rng.permuted(np.tile(np.arange(cards), (count, 1)), axis=1)
        needle = places[:, : self.questions]
        np.put_along_axis(name, needle, questions, axis=1)
        value = rng.integers(self.num_values, size=(count, cards))
        marks = np.full_like(questions, self.num_values)
        arrays = {
            "name": np.concatenate([name, questions], axis=1),
            "value": np.concatenate([value, marks], axis=1),
            "needle": needle,
            "label": np.take_along_axis(value, needle, axis=1),
        }
        return {name: array.astype(np.int32) for name, array in arrays.items()}

    def prepare(
        self, batch: Mapping[str, Array | np.ndarray], rng: PRNGKeyArray | None = None
    ) -> dict[str, Array]:
        """Prepare a batch for a model. This is pure, to be jitted with the step.

        Args:
            batch: A bucket that :meth:`load` returned, or some of its rows.
            rng: The random key for exchanging the names, alike in the whole batch, so that no
                haystack occurs twice and none can be memorized. None leaves the names unchanged.

        Returns:
            The batch as JAX arrays.
        """
        prepared = {name: jnp.asarray(array) for name, array in batch.items()}
        if rng is not None:
            prepared["name"] = jax.random.permutation(rng, self.num_names)[prepared["name"]]
        return prepared

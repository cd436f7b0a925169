"""Needles in a haystack: cards to look through, and questions that each ask for one of them."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

__all__ = ["Needle"]


@dataclasses.dataclass(frozen=True)
class Needle:
    """Find the card of a name among thousands, and say which value it has.

    A token is a pair: a name and a value. A sequence is a haystack of cards, in any order, followed
    by `questions`: tokens with a name and, in place of a value, the mark `num_values`. Each name
    asked for is on one card, its needle; the other cards have names that nobody asks for, and
    values as well, so that who does not find the needle knows nothing.

    Half of learning is to compare names, which short haystacks teach in a fraction of the time; the
    other half is to look at one card alone however many there are, which only long ones teach. So
    there are both to learn from, in buckets of their own. All that judges is long.

    Everything follows from the settings and the split: nothing is stored or fetched.

    Raises:
        ValueError: A setting is out of its range.

    Example:
        >>> task = Needle(length=11, short_length=7, questions=2, num_names=5, num_values=3)
        >>> haystack = task.load()["test"][0]
        >>> haystack["name"].shape, haystack["needle"].shape
        ((32, 11), (32, 2))
        >>> place = haystack["needle"][0, -1]  # where the card of the last question lies
        >>> bool(haystack["name"][0, place] == haystack["name"][0, -1])
        True

    References:
        Kamradt, Needle In A Haystack, 2023, https://github.com/gkamradt/LLMTest_NeedleInAHaystack;
        several needles told apart by names: Hsieh et al., RULER, 2024, section 3,
        https://arxiv.org/abs/2404.06654.
    """

    length: int = 8192
    """Tokens of a long sequence, questions included."""

    short_length: int = 64
    """Tokens of a short one."""

    questions: int = 16
    """How many cards are asked for at the end of each sequence."""

    num_names: int = 256
    """Different names."""

    num_values: int = 10
    """Different values, and so one over the chance to guess right."""

    long_examples: int = 16
    """Long sequences to learn from."""

    short_examples: int = 256
    """Short sequences to learn from."""

    validation: int = 8
    """Long sequences to select by."""

    test: int = 32
    """Long sequences to be judged by."""

    seed: int = 0
    """Of all sequences."""

    def __post_init__(self) -> None:
        for name in ("questions", "long_examples", "short_examples", "validation", "test"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        self._require("seed", self.seed >= 0, "at least 0")
        self._require("num_values", self.num_values >= 2, "at least 2, or there is nothing to find")
        asked = f"questions={self.questions}"
        for name in ("length", "short_length"):
            enough = getattr(self, name) > 2 * self.questions
            self._require(name, enough, f"more than twice {asked}: a card for each, and hay")
        enough = self.num_names > self.questions
        self._require("num_names", enough, f"more than {asked}: the hay has names of its own")

    def _require(self, name: str, holds: bool, what: str) -> None:
        if not holds:
            raise ValueError(f"{name}={getattr(self, name)} must be {what}.")

    @property
    def sizes(self) -> dict[str, int]:
        """What a model must know of the data."""
        return {
            "num_names": self.num_names,
            "num_values": self.num_values,
            "num_questions": self.questions,
        }

    def load(self) -> dict[str, list[dict[str, np.ndarray]]]:
        """Makes the sequences.

        Returns:
            ``train``, a bucket of short and one of long sequences; ``validation`` and ``test``, one
            of long ones. Each holds int32 arrays: ``name`` and ``value`` of shape (n, length), and
            for each question, of shape (n, questions), ``needle``, the place of its card, and
            ``label``, the card's value.
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
        asked, others = np.split(names, [self.questions], axis=1)
        hay = rng.integers(others.shape[1], size=(count, cards))
        name = np.take_along_axis(others, hay, axis=1)
        places = rng.permuted(np.tile(np.arange(cards), (count, 1)), axis=1)
        needle = places[:, : self.questions]
        np.put_along_axis(name, needle, asked, axis=1)
        value = rng.integers(self.num_values, size=(count, cards))
        marks = np.full_like(asked, self.num_values)
        arrays = {
            "name": np.concatenate([name, asked], axis=1),
            "value": np.concatenate([value, marks], axis=1),
            "needle": needle,
            "label": np.take_along_axis(value, needle, axis=1),
        }
        return {name: array.astype(np.int32) for name, array in arrays.items()}

    def prepare(
        self, batch: Mapping[str, Array | np.ndarray], rng: PRNGKeyArray | None = None
    ) -> dict[str, Array]:
        """Makes a batch fit for a model; pure, to be jitted with the step.

        Args:
            batch: As :meth:`load` gives it, or some rows of it.
            rng: Exchanges the names at random, the same in the whole batch, so that no haystack is
                met twice and none can be learned by heart; None leaves them as they are.

        Returns:
            The batch, as JAX's arrays.
        """
        prepared = {name: jnp.asarray(array) for name, array in batch.items()}
        if rng is not None:
            prepared["name"] = jax.random.permutation(rng, self.num_names)[prepared["name"]]
        return prepared

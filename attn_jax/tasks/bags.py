"""Bags of digits: the bag is labelled, and which digit made it so is known but never told."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from attn_jax.tasks.mnist.task import Mnist

__all__ = ["MnistBags"]


@dataclasses.dataclass(frozen=True)
class MnistBags:
    """Is there a nine in the bag?

    A bag holds about `mean_size` handwritten digits, drawn with replacement from those of its
    split, and is positive if it holds the digit sought. Only bags are labelled to learn from;
    `instance`, which digits are the one sought, serves to judge the attention by.

    Raises:
        ValueError: A setting is out of its range.

    Example:
        >>> MnistBags(mean_size=10.0, spread=2.0).longest
        18

    References:
        Ilse, Tomczak and Welling, "Attention-based Deep Multiple Instance Learning", 2018,
        section 4.2, https://arxiv.org/abs/1802.04712.
    """

    digit: int = 9
    """The digit sought."""

    mean_size: float = 10.0
    """Digits in a bag, on average."""

    spread: float = 2.0
    """The standard deviation of that number, which is normal and rounded."""

    train: int = 1000
    """Bags to learn from."""

    validation: int = 200
    """Bags to select by, of digits that are in no bag to learn from."""

    test: int = 1000
    """Bags to be judged by, of test images."""

    folder: Path | None = None
    """A folder of MNIST's four idx files; by default MNIST is found as by the other experiments."""

    seed: int = 0
    """Of the bags."""

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        self._require("digit", 0 <= self.digit <= 9, "from 0 to 9")
        self._require("mean_size", self.mean_size >= 1, "at least 1")
        self._require("spread", self.spread >= 0, "at least 0")
        self._require("seed", self.seed >= 0, "at least 0")

    def _require(self, name: str, holds: bool, what: str) -> None:
        if not holds:
            raise ValueError(f"{name}={getattr(self, name)} must be {what}.")

    @property
    def longest(self) -> int:
        """The most digits in a bag; four standard deviations above the mean, larger are cut."""
        return round(self.mean_size + 4 * self.spread)

    @property
    def sizes(self) -> dict[str, int]:
        """What a model must know of the data."""
        return {"num_classes": 2}

    def load(self) -> dict[str, list[dict[str, np.ndarray]]]:
        """Fills the bags.

        Returns:
            ``train``, ``validation`` and ``test``, each a list of one bucket: ``image``, uint8 of
            shape (n, longest, 28, 28), padded with black; ``present`` and ``instance``, booleans of
            shape (n, longest); and ``label``, int32 of shape (n,), 1 for positive bags.

        Raises:
            FileNotFoundError: MNIST is nowhere to be found.
        """
        digits = Mnist(folder=self.folder).load()
        counts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {
            split: [self._bags(digits[split][0], count, np.random.default_rng([self.seed, number]))]
            for number, (split, count) in enumerate(counts.items())
        }

    def _bags(
        self, digits: Mapping[str, np.ndarray], count: int, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        drawn = np.rint(rng.normal(self.mean_size, self.spread, count))
        present = np.arange(self.longest) < np.clip(drawn, 1, self.longest)[:, None]
        chosen = rng.integers(len(digits["label"]), size=present.shape)
        instance = (digits["label"][chosen] == self.digit) & present
        image = digits["image"][chosen] * present[..., None, None].astype(np.uint8)
        label = instance.any(-1).astype(np.int32)
        return {"image": image, "present": present, "instance": instance, "label": label}

    def prepare(
        self, batch: Mapping[str, Array | np.ndarray], rng: PRNGKeyArray | None = None
    ) -> dict[str, Array]:
        """Scales the images to [0, 1].

        Args:
            batch: Rows of a bucket.
            rng: Not used.

        Returns:
            The batch, with ``image`` in float32.
        """
        arrays = {name: jnp.asarray(array) for name, array in batch.items()}
        return {**arrays, "image": arrays["image"].astype(jnp.float32) / 255}

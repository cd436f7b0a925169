"""Bags of digits with one label for each bag, and marks on the digits that decide it."""

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
    """Bags of handwritten digits, to be classified by whether they hold a nine.

    A bag holds about `mean_size` digits, drawn with replacement from those of its split. It is
    positive if it holds the digit `digit`. A model learns from the labels of bags alone; `instance`
    marks the positive digits, so that its attention can be compared with them.

    Raises:
        ValueError: If a setting is out of its range.

    Example:
        >>> MnistBags(mean_size=10.0, spread=2.0).longest
        18

    References:
        Ilse, Tomczak and Welling, "Attention-based Deep Multiple Instance Learning", 2018,
        section 4.2, https://arxiv.org/abs/1802.04712.
    """

    digit: int = 9
    """The digit that makes a bag positive."""

    mean_size: float = 10.0
    """The mean number of digits in a bag."""

    spread: float = 2.0
    """The standard deviation of the number of digits, which is normally distributed and rounded."""

    train: int = 1000
    """The number of training bags."""

    validation: int = 200
    """The number of validation bags. Their digits are in no training bag."""

    test: int = 1000
    """The number of test bags, which hold MNIST's test images."""

    folder: Path | None = None
    """A folder with MNIST's four idx files. None searches for MNIST as the task mnist does."""

    seed: int = 0
    """The seed for drawing the bags."""

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        self._require("digit", 0 <= self.digit <= 9, "from 0 to 9")
        self._require("mean_size", self.mean_size >= 1, "at least 1")
        self._require("spread", self.spread >= 0, "at least 0")
        self._require("seed", self.seed >= 0, "at least 0")

    def _require(self, name: str, is_valid: bool, condition: str) -> None:
        if not is_valid:
            raise ValueError(f"{name}={getattr(self, name)} must be {condition}.")

    @property
    def longest(self) -> int:
        """The most digits in a bag: four standard deviations above the mean."""
        return round(self.mean_size + 4 * self.spread)

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of a model that depend on the data: `num_classes`."""
        return {"num_classes": 2}

    def load(self) -> dict[str, list[dict[str, np.ndarray]]]:
        """Draw the bags.

        Returns:
            `train`, `validation` and `test`, each a list of one bucket: `image`, uint8 of
            shape (n, longest, 28, 28), padded with black; `present` and `instance`, booleans of
            shape (n, longest); and `label`, int32 of shape (n,), 1 for positive bags.

        Raises:
            FileNotFoundError: If MNIST is not found; the message lists the places tried.
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
        lengths = np.rint(rng.normal(self.mean_size, self.spread, count))
        present = np.arange(self.longest) < np.clip(lengths, 1, self.longest)[:, None]
        indices = rng.integers(len(digits["label"]), size=present.shape)
        instance = (digits["label"][indices] == self.digit) & present
        image = digits["image"][indices] * present[..., None, None].astype(np.uint8)
        label = instance.any(-1).astype(np.int32)
        return {"image": image, "present": present, "instance": instance, "label": label}

    def prepare(
        self, batch: Mapping[str, Array | np.ndarray], rng: PRNGKeyArray | None = None
    ) -> dict[str, Array]:
        """Scale the images to [0, 1].

        Args:
            batch: Rows of a bucket.
            rng: Ignored.

        Returns:
            The batch with `image` in float32.
        """
        arrays = {name: jnp.asarray(array) for name, array in batch.items()}
        return {**arrays, "image": arrays["image"].astype(jnp.float32) / 255}

"""The task of predicting what a driver does, from the cars around."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from attn_jax.tasks.driving.highway import draw_highway_scenes
from attn_jax.tasks.driving.scenes import draw_scenes

__all__ = ["Driving"]

_SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class Driving:
    """Cars on a road with several lanes: how one of them accelerates, and which lane it takes.

    The drivers follow the intelligent-driver model and change lanes by MOBIL, on a simulated road.
    A row for each car holds its place, lane, speed and kind, the driver's own first and the others
    in random order. No input says which car is the leader, nor the gap to it, nor how much faster
    the driver is. The acceleration to predict has noise, which no model can explain.

    The truth is which cars the driver reacted to: those without which the acceleration, or the
    advantage of a lane, would differ by 0.1 m/s² or more.

    The task `highway_env` reads the same out of roads of the package `highway-env`, which must be
    installed: its own vehicles drive, and are asked what they would do without each of the others.
    Their parameters and some of their rules differ. Lanes have a fraction there, because a car
    between two lanes is on both.

    Raises:
        ValueError: If a setting is out of its range.

    Example:
        >>> task = Driving(train=20, validation=5, test=5)
        >>> task.load()["test"][0]["place"].shape
        (5, 16)

    References:
        Treiber, Hennecke and Helbing, 2000, https://arxiv.org/abs/cond-mat/0002177; Kesting,
        Treiber and Helbing, "General Lane-Changing Model MOBIL for Car-Following Models", 2007.
    """

    name: Literal["road", "highway_env"] = "road"
    """Who simulates: this package, or `highway-env`."""

    train: int = 20_000
    """The number of training scenes."""

    validation: int = 1000
    """The number of validation scenes, of other roads."""

    test: int = 2000
    """The number of test scenes, of other roads."""

    lanes: int = 3
    """The number of lanes."""

    seen: tuple[int, int] = (5, 15)
    """The fewest and the most cars within 150 meters of the driver."""

    changing: float = 0.3
    """The share of scenes in which the driver changes lanes, far more than on a road."""

    noise: float = 0.1
    """The standard deviation of the noise of accelerations, in m/s²; those with which the cars of
    `highway_env` drive have none."""

    coordinates: Literal["driver", "road"] = "driver"
    """Where places are counted from: the driver's own car, or a point of the road."""

    seed: int = 0
    """The seed for the roads."""

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test", "lanes"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        for name in ("noise", "seed"):
            self._require(name, getattr(self, name) >= 0, "at least 0")
        most = 0.9 if self.lanes > 1 else 0.0
        self._require("changing", 0 <= self.changing <= most, f"from 0 to {most}")
        # Hardly any stretch has more cars, so that drawing scenes would never end.
        ordered = 0 <= self.seen[0] <= self.seen[1] and self.seen[0] <= 12 and self.seen[1] >= 5
        self._require("seen", ordered, "two numbers, the lower first, from at most 12 to 5 or more")

    def _require(self, name: str, is_valid: bool, condition: str) -> None:
        if not is_valid:
            raise ValueError(f"{name}={getattr(self, name)} must be {condition}.")

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of a model that depend on the data: none."""
        return {}

    def load(self) -> dict[str, list[dict[str, np.ndarray]]]:
        """Simulate the roads.

        Returns:
            `train`, `validation` and `test`, each a list of one bucket: the arrays of
            :class:`~attn_jax.tasks.driving.scenes.Scenes` by name, and `acceleration`, the driver's
            with noise, (n,).

        Raises:
            MissingPackageError: If `highway-env` is asked for and not installed.
        """
        return {split: [self.bucket(split)] for split in _SPLITS}

    def bucket(self, split: str) -> dict[str, np.ndarray]:
        """Simulate the roads of one split alone, which is faster; the bucket of :meth:`load`.

        Raises:
            ValueError: If there is no such split.
        """
        if split not in _SPLITS:
            raise ValueError(f"split={split!r} is not one of {', '.join(_SPLITS)}.")
        return dict(_bucket(self, split))

    def prepare(
        self, batch: Mapping[str, Array | np.ndarray], rng: PRNGKeyArray | None = None
    ) -> dict[str, Array]:
        """Put what a model may see into one array.

        Args:
            batch: Rows of a bucket.
            rng: Ignored.

        Returns:
            The batch with `cars`, float32 of shape (n, k, 4): the place in units of 100 meters,
            the lane counted from the middle, the speed in units of 30 m/s, and 1 for a truck.
        """
        arrays = {name: jnp.asarray(array) for name, array in batch.items()}
        place = arrays["place"]
        place = (place - (place[:, :1] if self.coordinates == "driver" else 200)) / 100
        lane = arrays["lane"] - (self.lanes - 1) / 2
        features = (place, lane, arrays["speed"] / 30, arrays["truck"])
        cars = jnp.stack([each.astype(jnp.float32) for each in features], -1)
        return {**arrays, "cars": jnp.where(arrays["exists"][..., None], cars, 0)}


@functools.lru_cache(maxsize=6)
def _bucket(task: Driving, split: str) -> dict[str, np.ndarray]:
    rng = np.random.default_rng([task.seed, _SPLITS.index(split)])
    settings = (getattr(task, split), task.lanes, task.seen, task.changing)
    if task.name == "highway_env":
        scenes = draw_highway_scenes(*settings, rng)
    else:
        scenes = draw_scenes(*settings, task.noise, rng)
    noise = task.noise * rng.standard_normal(scenes.driven.shape).astype(np.float32)
    return {**scenes._asdict(), "acceleration": scenes.driven + noise}

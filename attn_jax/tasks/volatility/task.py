"""The task of predicting how much prices will move."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray
from numpy.typing import NDArray

from attn_jax.tasks.volatility.folds import MONTH, Fold, walk_forward
from attn_jax.tasks.volatility.prices import (
    MARKETS,
    Prices,
    garman_klass,
    read_market,
    read_prices,
)

__all__ = ["Volatility"]


@dataclasses.dataclass(frozen=True)
class Volatility:
    """The variance of an index's returns on the next day, and in the next month, from past days.

    The markets are the S&P 500 and the NASDAQ Composite from 1999 to 2018. A day's variance is
    estimated from its four prices; a month's is the mean over 22 days. Both are given as multiples
    of the mean of the last 22 days, so that a model sees no level of prices.

    Splits walk forward: each fold has a model of its own, which learns from all days before its
    block of test days. The arrays have an axis for the folds, and a fold with fewer training days
    repeats them.

    Which past days a forecast should look at is not known, so this task has no truth.

    Raises:
        ValueError: If a setting is out of its range.

    References:
        The estimate of a day's variance: Garman and Klass, 1980.
    """

    path: Path | None = None
    """A CSV of your own prices with the columns Date, Open, High, Low and Close. None takes the
    S&P 500 and the NASDAQ Composite."""

    window: int = 66
    """The number of past days that a model sees."""

    folds: int = 5
    """The number of blocks of test days, which follow each other up to the last day."""

    test_days: int = 504
    """The test days of a fold; 504 are two years."""

    validation_days: int = 252
    """The validation days of a fold, before its test days."""

    def __post_init__(self) -> None:
        self._require("window", self.window >= MONTH, f"at least {MONTH}")
        for name in ("folds", "test_days", "validation_days"):
            self._require(name, getattr(self, name) >= 1, "at least 1")

    def _require(self, name: str, is_valid: bool, condition: str) -> None:
        if not is_valid:
            raise ValueError(f"{name}={getattr(self, name)} must be {condition}.")

    @functools.cached_property
    def markets(self) -> tuple[Prices, ...]:
        """The prices of each market, read or fetched at the first use.

        Raises:
            FileNotFoundError: If there are none.
            ValueError: If a file cannot be used. The message says where, why, and the way out.
        """
        if self.path is not None:
            return (read_prices(Path(self.path)),)
        return tuple(map(read_market, MARKETS))

    def split(self, market: Prices) -> list[Fold]:
        """Return the folds of a market.

        Raises:
            ValueError: If it has too few days.
        """
        origin = str(self.path or market.name)
        counts = (self.folds, self.validation_days, self.test_days)
        return walk_forward(len(market.date), self.window, *counts, origin)

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of a model that depend on the data: `window`."""
        return {"window": self.window}

    def load(self) -> dict[str, list[dict[str, np.ndarray]]]:
        """Read the prices and split them.

        Returns:
            `train`, `validation` and `test`, each a list of one bucket of float32 arrays with axes
            for the examples and the folds: `past`, (n, folds, window, 2), for each past day, the
            latest last, the logarithm of its variance and its return, both relative to the last 22
            days; `target`, (n, folds, 2), the variance of the next day and of the next month
            relative to them; and `scale`, (n, folds), their mean variance. The markets follow each
            other.

        Raises:
            FileNotFoundError: If there are no prices.
            ValueError: If they cannot be used. The message says where, why, and the way out.
        """
        parts = [(self._arrays(market), self.split(market)) for market in self.markets]
        return {
            split: [self._bucket([(a, [getattr(f, split) for f in folds]) for a, folds in parts])]
            for split in ("train", "validation", "test")
        }

    def _arrays(self, market: Prices) -> dict[str, NDArray]:
        """Return the arrays of all last known days; those of the first and last are not used."""
        variance = garman_klass(market)
        days = len(variance)
        means = np.convolve(variance, np.full(MONTH, 1 / MONTH), "valid")
        # means[i] is the mean over the days i to i + 21.
        scale = np.concatenate([np.full(MONTH - 1, np.nan), means])
        ahead = np.concatenate([means[1:], np.full(MONTH, np.nan)])
        target = np.stack([np.append(variance[1:], np.nan), ahead], -1) / scale[:, None]
        each = np.arange(days)[:, None] + np.arange(1 - self.window, 1)
        log = np.log(variance)[each] - np.log(scale)[:, None]
        returns = market.returns[each] / np.sqrt(scale)[:, None]
        return {"past": np.stack([log, returns], -1), "target": target, "scale": scale}

    @staticmethod
    def _bucket(parts: list[tuple[dict[str, NDArray], list[NDArray]]]) -> dict[str, np.ndarray]:
        joined = []
        for arrays, folds in parts:
            longest = max(map(len, folds))
            # Days are repeated in order, those of a shorter fold from the first again.
            days = np.stack([np.resize(fold, longest) for fold in folds], 1)
            joined.append({name: array[days].astype(np.float32) for name, array in arrays.items()})
        return {name: np.concatenate([each[name] for each in joined]) for name in joined[0]}

    def prepare(
        self, batch: Mapping[str, Array | np.ndarray], rng: PRNGKeyArray | None = None
    ) -> dict[str, Array]:
        """Convert a batch to JAX arrays.

        Args:
            batch: Rows of a bucket.
            rng: Ignored.
        """
        return {name: jnp.asarray(array) for name, array in batch.items()}

"""Intervals and permutation tests on numbers of examples, on the host."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attn_jax.measure.intervals import flipped_share, step_down

DRAWS = 4000
"""The number of random sign flips of a test."""

LEVEL = 0.95


class Interval(NamedTuple):
    """A mean over examples and both ends of its interval; NaN where it is not defined."""

    mean: float
    low: float
    high: float


class Ratio(NamedTuple):
    """A ratio of two means over examples, as one number for each example whose mean it is.

    Attributes:
        value: The numerator of each example that has one, (m,).
        whole: The denominator.
        examples: How many examples there were, with those that have no number.
    """

    value: NDArray[np.float64]
    whole: NDArray[np.float64]
    examples: int

    @property
    def ratio(self) -> float:
        """The ratio of the means; NaN where the denominator is not positive."""
        if not len(self.value) or self.whole.mean() <= 0:
            return np.nan
        return float(self.value.mean() / self.whole.mean())

    def interval(self, bounds: tuple[float, float] | None = None) -> Interval:
        """Return the ratio and its interval, to first order in the deviations of both means."""
        ratio = self.ratio
        if not np.isfinite(ratio):
            return Interval(np.nan, np.nan, np.nan)
        linear = ratio + (self.value - ratio * self.whole) / self.whole.mean()
        return Interval(ratio, *_ends(linear, bounds))

    def above(self, least: float) -> float:
        """Return the p-value of the claim that the ratio is greater than a number."""
        return sign_flip(self.value - least * self.whole) if np.isfinite(self.ratio) else 1.0

    def below(self, most: float) -> float:
        """Return the p-value of the claim that the ratio is less than a number."""
        return sign_flip(most * self.whole - self.value) if np.isfinite(self.ratio) else 1.0


def ratio_of(value: ArrayLike, whole: ArrayLike | None = None) -> Ratio:
    """Return the ratio of two means, or the mean, without the examples that have no number."""
    values = np.asarray(value, np.float64)
    wholes = np.ones_like(values) if whole is None else np.asarray(whole, np.float64)
    defined = np.isfinite(values) & np.isfinite(wholes)
    return Ratio(values[defined], wholes[defined], len(values))


def _ends(values: NDArray, bounds: tuple[float, float] | None) -> tuple[float, float]:
    """Return the ends of Student's interval, with one more example at each end of the range.

    Without these two, examples that are all alike would give an interval of no width. The idea is
    that of Agresti and Coull for proportions.
    """
    from scipy.special import stdtrit  # slow to import, and used only here

    wide = values if bounds is None else np.append(values, bounds)
    if len(wide) < 2:
        return -np.inf, np.inf
    margin = stdtrit(len(wide) - 1, (1 + LEVEL) / 2) * wide.std(ddof=1) / np.sqrt(len(wide))
    low, high = wide.mean() - margin, wide.mean() + margin
    if bounds is not None:
        low, high = max(low, bounds[0]), min(high, bounds[1])
    return float(min(low, values.mean())), float(max(high, values.mean()))


def sign_flip(values: NDArray) -> float:
    """Return the p-value of the claim that a mean is positive, by flipping signs at random.

    References:
        E. J. G. Pitman, "Significance tests which may be applied to samples from any populations",
        1937.
    """
    if not len(values):
        return 1.0
    signs = np.random.default_rng(0).integers(0, 2, (DRAWS, len(values)), np.int8) * 2 - 1
    return float(flipped_share(signs, values, rounding=1e-9))


def holm(p_values: Sequence[float]) -> NDArray[np.float64]:
    """Return p-values that hold for all of some tests together, as :func:`measure.holm` does."""
    return step_down(np, np.asarray(p_values, np.float64))

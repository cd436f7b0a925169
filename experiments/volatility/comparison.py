"""How good forecasts of variance are, and whether one is better than another."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student


class Difference(NamedTuple):
    """The mean difference of two losses.

    Attributes:
        mean: Negative if the first is better.
        low: The lower end of its 95 % interval.
        high: The upper end.
        p: The probability of such a difference if neither is better.
    """

    mean: float
    low: float
    high: float
    p: float


def qlike(target: NDArray, forecast: NDArray) -> NDArray:
    r"""Return the quasi-likelihood loss of each forecast, zero for a perfect one.

    .. math:: \frac{\sigma^2}{h} - \ln \frac{\sigma^2}{h} - 1

    References:
        Patton, "Volatility Forecast Comparison Using Imperfect Volatility Proxies", 2011, which
        shows that it and the squared error rank forecasts rightly though the target has noise.
    """
    ratio = target / forecast
    return ratio - np.log(ratio) - 1


def squared_error(target: NDArray, forecast: NDArray) -> NDArray:
    """Return the squared error of each forecast."""
    return (target - forecast) ** 2


def diebold_mariano(first: NDArray, second: NDArray, horizon: int) -> Difference:
    """Test whether two forecasts have the same expected loss.

    The variance of the mean difference allows for the correlation of forecasts whose days overlap,
    with Bartlett's weights, and the statistic is corrected for small samples.

    Args:
        first: The losses of one forecast in the order of time, (t,).
        second: Those of the other.
        horizon: The days that a forecast spans.

    References:
        Diebold and Mariano, "Comparing Predictive Accuracy", 1995; the correction: Harvey,
        Leybourne and Newbold, 1997, equation 9; the weights: Newey and West, 1987.
    """
    difference = np.asarray(first) - np.asarray(second)
    count, mean = len(difference), float(difference.mean())
    centered = difference - mean
    variance = float(centered @ centered) / count
    for lag in range(1, min(horizon, count)):
        weight = 1 - lag / horizon
        variance += 2 * weight * float(centered[lag:] @ centered[:-lag]) / count
    if variance <= 0:
        return Difference(mean, mean, mean, float(mean == 0))
    correction = (count + 1 - 2 * horizon + horizon * (horizon - 1) / count) / count
    error = np.sqrt(variance / count / correction)
    half = float(student.ppf(0.975, count - 1) * error)
    p = float(2 * student.sf(abs(mean) / error, count - 1))
    return Difference(mean, mean - half, mean + half, p)

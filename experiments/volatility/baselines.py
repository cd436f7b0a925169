"""Forecasts without attention: the heterogeneous autoregression (HAR) and GARCH(1,1)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.signal import lfilter

from attn_jax.tasks.volatility.folds import MONTH

_WEEK = 5
_BACKCAST = 75
_DECAY = 0.94


class Garch(NamedTuple):
    r"""The parameters of GARCH(1,1) with a constant mean.

    .. math:: r_t = \mu + \varepsilon_t, \quad
        \sigma^2_{t+1} = \omega + \alpha \varepsilon^2_t + \beta \sigma^2_t

    Attributes:
        mean: μ.
        omega: ω.
        alpha: α.
        beta: β.
    """

    mean: float
    omega: float
    alpha: float
    beta: float


def har_features(variance: NDArray) -> NDArray:
    """Return the variance of each day, and its mean over the last week and month, (t, 3).

    The first days of a series, which have no month behind them, are NaN.

    References:
        Corsi, "A Simple Approximate Long-Memory Model of Realized Volatility", 2009, equation 7.
    """
    columns = [variance]
    for days in (_WEEK, MONTH):
        means = np.convolve(variance, np.full(days, 1 / days), "valid")
        columns.append(np.concatenate([np.full(days - 1, np.nan), means]))
    return np.stack(columns, -1)


def har_forecast(features: NDArray, target: NDArray, known: NDArray, asked: NDArray) -> NDArray:
    """Fit HAR by least squares, and forecast.

    Args:
        features: Those of :func:`har_features`, (t, 3).
        target: What follows each day, (t,).
        known: The days to learn from.
        asked: The days to forecast from.

    Returns:
        The forecasts, (asked,), none below the smallest target that it learned from.
    """
    fit = np.linalg.lstsq(_with_one(features[known]), target[known], rcond=None)[0]
    return np.maximum(_with_one(features[asked]) @ fit, target[known].min())


def log_har_forecast(features: NDArray, target: NDArray, known: NDArray, asked: NDArray) -> NDArray:
    """Do the same for logarithms, and add half the variance of what is left over."""
    inputs, logs = np.log(features), np.log(target[known])
    fit = np.linalg.lstsq(_with_one(inputs[known]), logs, rcond=None)[0]
    left = logs - _with_one(inputs[known]) @ fit
    return np.exp(_with_one(inputs[asked]) @ fit + left.var() / 2)


def _with_one(features: NDArray) -> NDArray:
    return np.concatenate([np.ones((len(features), 1)), features], 1)


def garch_variances(returns: NDArray, garch: Garch, before: NDArray | None = None) -> NDArray:
    """Return the variance that GARCH expects for each day and the one after the last, (t + 1,).

    Args:
        returns: The returns, (t,).
        garch: The parameters.
        before: The squared residuals that stand for those before the first day: the mean of the
            first 75 does, with weights that fall by a factor of 0.94. All by default.
    """
    squares = (returns - garch.mean) ** 2
    earlier = _mean_of_first(squares if before is None else before)
    first = garch.omega + (garch.alpha + garch.beta) * earlier
    # The recursion is a filter with one pole, which starts from the first day's variance.
    driven = garch.omega + garch.alpha * squares
    rest, _ = lfilter([1.0], [1.0, -garch.beta], driven, zi=[garch.beta * first])
    return np.concatenate([[first], rest])


def _mean_of_first(squares: NDArray) -> float:
    weights = _DECAY ** np.arange(min(_BACKCAST, len(squares)))
    return float(weights @ squares[: len(weights)] / weights.sum())


def fit_garch(returns: NDArray) -> Garch:
    """Fit GARCH(1,1) by the likelihood of normal returns.

    Args:
        returns: The returns, (t,).

    Raises:
        ValueError: If no maximum is found.

    References:
        Bollerslev, "Generalized Autoregressive Conditional Heteroskedasticity", 1986.
    """
    # In units in which the variance is one, for the sake of the optimizer.
    unit = float(returns.std())
    scaled = returns / unit
    before = (scaled - scaled.mean()) ** 2

    def cost(values: NDArray) -> float:
        garch = Garch(*values)
        variance = garch_variances(scaled, garch, before)[:-1]
        if not (variance > 0).all():
            return np.inf
        return float((np.log(variance) + (scaled - garch.mean) ** 2 / variance).mean() / 2)

    starts = ((0.05, 0.9), (0.1, 0.85), (0.15, 0.7))
    fits = [
        minimize(
            cost,
            (float(scaled.mean()), 1 - alpha - beta, alpha, beta),
            method="SLSQP",
            bounds=((-1, 1), (1e-8, 2), (0, 1), (0, 1)),
            constraints={"type": "ineq", "fun": lambda values: 1 - values[2] - values[3]},
            options={"ftol": 1e-10, "maxiter": 500},
        )
        for alpha, beta in starts
    ]
    best = min((fit for fit in fits if np.isfinite(fit.fun)), key=lambda fit: fit.fun, default=None)
    if best is None:
        raise ValueError(f"GARCH(1,1) cannot be fitted to {len(returns)} returns; give it more.")
    mean, omega, alpha, beta = (float(value) for value in best.x)
    return Garch(mean * unit, omega * unit**2, alpha, beta)


def garch_forecast(returns: NDArray, garch: Garch, asked: NDArray) -> NDArray:
    """Forecast the variance of the day after, and the mean of the month after, (asked, 2).

    Args:
        returns: All returns, of which each forecast uses those up to its day.
        garch: The parameters.
        asked: The days to forecast from.
    """
    following = garch_variances(returns, garch)[asked + 1]
    persistence = garch.alpha + garch.beta
    # The share of tomorrow's distance from the long-run variance that a day of the month keeps.
    kept = persistence ** np.arange(MONTH)
    if persistence < 1:
        settled = garch.omega / (1 - persistence)
        month = settled + (following - settled) * kept.mean()
    else:
        month = following + garch.omega * (MONTH - 1) / 2
    return np.stack([following, month], -1)

"""Forecasts of one market by every method, their losses, and which of them is better."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from attn_jax.tasks.volatility.prices import garman_klass
from experiments.volatility.baselines import (
    fit_garch,
    garch_forecast,
    har_features,
    har_forecast,
    log_har_forecast,
)
from experiments.volatility.comparison import diebold_mariano, qlike, squared_error

HORIZONS = {"day": 1, "month": 22}
"""The horizons and their days."""

LOSSES = {"qlike": qlike, "mse": squared_error}
"""The losses of a forecast."""


class Forecasts(NamedTuple):
    """Test forecasts of one market, in the order of time, over all folds.

    Attributes:
        market: The name of the market.
        date: The last known day of each, (t,).
        target: The variance of the next day and of the next month, (t, 2).
        by: The forecasts of each method, (t, 2).
        weights: The attention of the two queries to the past days, (t, 2, window).
    """

    market: str
    date: np.ndarray
    target: np.ndarray
    by: Mapping[str, np.ndarray]
    weights: np.ndarray


def baseline_forecasts(market: Any, folds: Any) -> dict[str, np.ndarray]:
    """Return the test forecasts of the other methods, fitted anew for each fold.

    Each learns from the days whose month has ended before the fold's first test day, validation
    included. GARCH forecasts the variance of returns from close to close; a day's prices give a
    smaller one, so that its forecasts are multiplied by the ratio of the two means in those days.

    Args:
        market: The prices.
        folds: The folds.
    """
    variance = garman_klass(market)
    features = har_features(variance)
    month = np.append(features[22:, 2], np.full(22, np.nan))
    targets = (np.append(variance[1:], np.nan), month)
    by: dict[str, list[np.ndarray]] = {"har": [], "log_har": [], "garch": []}
    for fold in folds:
        known = np.arange(21, fold.validation[-1] + 1)
        for name, method in (("har", har_forecast), ("log_har", log_har_forecast)):
            pair = [method(features, target, known, fold.test) for target in targets]
            by[name].append(np.stack(pair, -1))
        past = market.returns[1 : fold.test[0] + 1]
        ratio = variance[1 : fold.test[0] + 1].mean() / np.square(past).mean()
        by["garch"].append(ratio * garch_forecast(market.returns, fit_garch(past), fold.test))
    return {name: np.concatenate(parts) for name, parts in by.items()}


def mean_losses(forecasts: list[Forecasts]) -> dict[str, float]:
    """Return the mean loss of each method at each horizon; squared errors as multiples of HAR's.

    Args:
        forecasts: The forecasts of each market.
    """
    results = {}
    for column, horizon in enumerate(HORIZONS):
        for loss, function in LOSSES.items():
            means = {
                method: float(
                    np.mean([function(f.target, f.by[method])[:, column].mean() for f in forecasts])
                )
                for method in forecasts[0].by
            }
            unit = means["har"] if loss == "mse" else 1.0
            for method, mean in means.items():
                end = "" if method == "attention" else f"_{method}"
                results[f"{horizon}_{loss}{end}"] = mean / unit
    return results


def compared(forecasts: list[Forecasts]) -> list[dict[str, Any]]:
    """Return a record for each market, horizon, loss and rival: the means and their difference.

    The difference of attention less the rival, `low` and `high`, the ends of its 95 % interval, are
    fractions of the rival's mean loss; `p` is that of the Diebold–Mariano test.

    Args:
        forecasts: The forecasts of each market.
    """
    records = []
    for each in forecasts:
        for column, (horizon, days) in enumerate(HORIZONS.items()):
            for loss, function in LOSSES.items():
                values = {m: function(each.target, f)[:, column] for m, f in each.by.items()}
                own = values.pop("attention")
                for rival, other in values.items():
                    unit = other.mean()
                    tested = diebold_mariano(own / unit, other / unit, days)
                    records.append(
                        {
                            "market": each.market,
                            "horizon": horizon,
                            "loss": loss,
                            "rival": rival,
                            "own_loss": float(own.mean()),
                            "rival_loss": float(unit),
                            **tested._asdict(),
                        }
                    )
    return records

"""Experiments on volatility: a model for each fold, learned side by side, beside HAR and GARCH."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from attn_jax.hooks import capture
from attn_jax.measure import report_card
from attn_jax.tasks.volatility.prices import garman_klass
from attn_jax.train.protocols import WEIGHT
from experiments.experiment import Experiment
from experiments.truth.evidence import Evidence
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

_ON_CARD = 256


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


@dataclasses.dataclass(frozen=True)
class VolatilityExperiment(Experiment):
    """Forecast variances by a model for each fold, whose parameters have a leading axis of folds.

    The last row of metrics has for each horizon the mean test losses of attention and of the
    others, such as `test/day_qlike`, `test/day_qlike_har` and `test/month_mse_garch`, over all
    folds and markets. The mean squared errors are multiples of HAR's.
    """

    def init(self, rng: jax.Array, batch: Mapping[str, jax.Array]) -> Any:
        """Make fresh parameters, different ones for each fold."""
        model, past = self.sized_model(), batch["past"]
        make = jax.vmap(lambda each: model.init(each, past[:, 0])["params"])
        return make(jax.random.split(rng, past.shape[1]))

    def apply(
        self,
        params: Any,
        batch: Mapping[str, jax.Array],
        *,
        rng: jax.Array | None = None,
        train: bool = False,
    ) -> Any:
        """Run each fold's model on its own examples; (n, folds, horizons)."""
        rngs = {} if rng is None else {"dropout": rng}
        return _forecast(self.sized_model(), params, batch["past"], train=train, rngs=rngs)

    def loss(self, outputs: jax.Array, batch: Mapping[str, jax.Array]) -> Any:
        """Return the quasi-likelihood, the mean over folds and horizons."""
        weight = batch.get(WEIGHT, jnp.ones(len(outputs), jnp.float32))
        log = jnp.log(batch["target"]) - outputs
        each = (jnp.exp(log) - log - 1).mean((1, 2))
        total, sums = weight.sum(), (weight * each).sum()
        return sums / jnp.maximum(total, 1.0), {"loss": (sums, total)}

    def example(self) -> Mapping[str, jax.Array]:
        """Return past days on which nothing happens, without reading the prices."""
        return {"past": jnp.zeros((1, self.task.folds, self.task.window, 2))}

    def on_epoch(self, params: Any, row: Mapping[str, Any], run: Path) -> Mapping[str, float]:
        """Compare the test forecasts with those of the others, after the last epoch."""
        if row["epoch"] < self.train.epochs:
            return {}
        return {f"test/{n}": v for n, v in mean_losses(self.forecasts(params)).items()}

    def forecasts(self, params: Any) -> list[Forecasts]:
        """Return the test forecasts of each market by attention, HAR, log-HAR and GARCH."""
        bucket = self.task.load()["test"][0]
        logs, weights = _predictor(self.sized_model())(params, jnp.asarray(bucket["past"]))
        parts = len(self.task.markets)

        def in_order(array: Any) -> list[np.ndarray]:
            """Split by market, and put the folds after each other."""
            folded = np.asarray(array).reshape(parts, -1, *np.shape(array)[1:])
            return [each.swapaxes(0, 1).reshape(-1, *each.shape[2:]) for each in folded]

        scale = bucket["scale"][..., None]
        logs, weights = in_order(np.exp(np.asarray(logs)) * scale), in_order(weights)
        target = in_order(bucket["target"] * scale)
        results = []
        for number, market in enumerate(self.task.markets):
            folds = self.task.split(market)
            by = {"attention": logs[number], **baseline_forecasts(market, folds)}
            days = market.date[np.concatenate([fold.test for fold in folds])]
            results.append(Forecasts(market.name, days, target[number], by, weights[number]))
        return results

    def draw(self, params: Any, run: Path) -> None:
        """Draw the forecasts, the attention over past days, the comparison and the card."""
        from experiments.report import draw_curves, save_card
        from experiments.report.volatility import save_volatility

        draw_curves(run)
        forecasts = self.forecasts(params)
        save_volatility(run, forecasts, compared(forecasts))
        evidence = self.evidence(params)
        card = report_card(
            evidence.fn,
            evidence.inputs,
            attention=evidence.attention,
            target=evidence.target,
            query=0,
            adversarial=False,
        )
        save_card(run, card)

    def evidence(self, params: Any) -> Evidence:
        """Return test days of the last fold, for the forecast of the next day, without a truth.

        The output is the logarithm of the variance relative to the last month's. What is explained
        is the side of it on which the model is.
        """
        past = self.task.load()["test"][0]["past"][:, -1]
        few = jnp.asarray(past[np.linspace(0, len(past) - 1, _ON_CARD).astype(int)])
        last = jax.tree.map(lambda leaf: leaf[-1], params)
        fn = functools.partial(_next_day, self.sized_model(), last)
        return Evidence(
            fn=fn,
            inputs=few,
            target=(np.asarray(fn(few)) > 0).astype(np.int32),
            truth=None,
            mask=np.ones(few.shape[:2], bool),
            attention=self.model.attention_pattern,
            query=0,
            metrics=tuple(
                f"test/{horizon}_qlike{rival}"
                for horizon in HORIZONS
                for rival in ("", "_har", "_log_har")
            ),
        )


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


def _forecast(model: nn.Module, params: Any, past: jax.Array, **options: Any) -> Any:
    """Return the forecasts of each fold's model, (n, folds, horizons)."""

    def one(own: Any, examples: jax.Array) -> Any:
        return model.apply({"params": own}, examples, **options)

    return jax.vmap(one, in_axes=(0, 1), out_axes=1)(params, past)


def _next_day(model: nn.Module, params: Any, past: jax.Array) -> jax.Array:
    return jnp.asarray(model.apply({"params": params}, past))[:, 0]


@functools.cache
def _predictor(model: nn.Module) -> Callable[..., Any]:
    """Build a jitted function to forecasts and weights, (n, folds, horizons, window)."""

    def one(own: Any, examples: jax.Array) -> tuple[jax.Array, jax.Array]:
        run = capture(model.apply, model.attention_pattern)
        output, captured = run({"params": own}, examples)
        (weights,) = captured.values()
        return output, weights.mean(1)

    return jax.jit(jax.vmap(one, in_axes=(0, 1), out_axes=1))

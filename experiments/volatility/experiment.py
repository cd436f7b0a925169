"""Experiments on volatility: a model for each fold, learned side by side, beside HAR and GARCH."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from attn_jax.hooks import capture
from attn_jax.measure import report_card
from attn_jax.train.protocols import WEIGHT
from experiments.experiment import Experiment
from experiments.truth.evidence import Evidence
from experiments.volatility.forecasts import (
    HORIZONS,
    Forecasts,
    baseline_forecasts,
    compared,
    mean_losses,
)

_ON_CARD = 256


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

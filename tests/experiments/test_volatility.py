"""Forecasts of volatility: the baselines against other programs' numbers, and a run end to end."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.stats import ttest_1samp

from attn_jax.models import HorizonAttention
from experiments import command, load, reopen
from experiments.volatility.baselines import (
    Garch,
    fit_garch,
    garch_forecast,
    garch_variances,
    har_features,
    har_forecast,
    log_har_forecast,
)
from experiments.volatility.comparison import diebold_mariano, qlike

TINY = ["--train.epochs", "1", "--train.batch-size", "32", "--train.steps-per-call", "1"]
TINY += ["--task.window", "30", "--task.folds", "2", "--task.test-days", "40"]
TINY += ["--task.validation-days", "30", "--model.features", "8", "--model.hidden-dim", "5"]


def garch_returns(days, rng):
    """Return returns that follow GARCH(1,1)."""
    noise, returns, variance = rng.standard_normal(days), np.zeros(days), 1.0
    for day in range(days):
        returns[day] = 0.05 + np.sqrt(variance) * noise[day]
        variance = 0.03 + 0.09 * (returns[day] - 0.05) ** 2 + 0.88 * variance
    return returns


def test_garch_agrees_with_the_package_arch():
    returns = garch_returns(1500, np.random.default_rng(7))
    garch = fit_garch(returns)
    # arch 8.0.0: arch_model(returns, mean="Constant", vol="GARCH", p=1, q=1, rescale=False)
    expected = (0.00215637, 0.02654034, 0.08928876, 0.88141189)
    np.testing.assert_allclose(garch, expected, rtol=1e-3)
    forecast = garch_forecast(returns, garch, np.array([1499]))
    np.testing.assert_allclose(forecast, [[1.1592053557, 1.0945699782]], rtol=1e-4)
    variances = garch_variances(returns, garch)[[0, 1, 2, -2]]
    expected = (0.44708414, 0.42082064, 0.40734762, 1.2818585091654633)
    np.testing.assert_allclose(variances, expected, rtol=1e-3)


def test_garch_by_hand():
    garch = Garch(mean=0.0, omega=0.1, alpha=0.2, beta=0.5)
    # The squares before count as 4, so that the first variance is 0.1 + 0.7 · 4.
    variances = garch_variances(np.array([2.0, 2.0]), garch)
    np.testing.assert_allclose(variances, [2.9, 0.1 + 0.8 + 1.45, 0.1 + 0.8 + 1.175])
    # With α + β = 1 the expected variance grows by ω a day.
    growing = Garch(mean=0.0, omega=0.1, alpha=0.5, beta=0.5)
    following, month = garch_forecast(np.array([2.0, 2.0]), growing, np.array([1]))[0]
    assert month == pytest.approx(following + 0.1 * 21 / 2)


def test_har_finds_the_law_that_made_the_series():
    rng = np.random.default_rng(0)
    variance = np.concatenate([rng.uniform(1, 2, 22), np.zeros(300)])
    for day in range(22, len(variance)):
        past = variance[day - 22 : day]
        mean = 0.2 + 0.3 * past[-1] + 0.4 * past[-5:].mean() + 0.2 * past.mean()
        variance[day] = mean + 0.1 * np.sin(day**2)
    features = har_features(variance)
    assert np.isnan(features[20]).any()
    np.testing.assert_allclose(
        features[21], [variance[21], variance[17:22].mean(), variance[:22].mean()]
    )
    target, known, asked = np.append(variance[1:], np.nan), np.arange(21, 280), np.arange(285, 300)
    expected = 0.2 + features[asked] @ [0.3, 0.4, 0.2]
    np.testing.assert_allclose(har_forecast(features, target, known, asked), expected, rtol=0.02)
    # Exactly a law of logarithms, with nothing left over.
    product = np.exp(0.1 + np.log(features) @ [0.5, 0.3, 0.1])
    again = log_har_forecast(features, product, known, asked)
    np.testing.assert_allclose(again, product[asked], rtol=1e-8)


def test_losses_and_the_test_by_hand():
    np.testing.assert_allclose(
        qlike(np.array([2.0, 1.0]), np.array([1.0, 1.0])), [1 - np.log(2), 0]
    )
    first, second = np.array([1.0, 3.0, 2.0, 4.0]), np.array([0.0, 1.0, 2.0, 1.0])
    result = diebold_mariano(first, second, 1)
    # Differences 1, 2, 0, 3: mean 1.5; variance 1.25; corrected by 3/4, which is a t test.
    assert result.mean == 1.5
    error = np.sqrt(1.25 / 4 / 0.75)
    assert result.high - result.mean == pytest.approx(3.182446 * error, rel=1e-5)
    assert result.p == pytest.approx(ttest_1samp(first - second, 0).pvalue)
    # A span of two days: neighbors' products, −0.25, −0.75 and −2.25, count half, and twice: the
    # variance is 1.25 − 3.25 / 4, corrected by (4 + 1 − 4 + 2 / 4) / 4.
    wide = diebold_mariano(first, second, 2)
    error = np.sqrt((1.25 - 3.25 / 4) / 4 / 0.375)
    assert wide.high - wide.mean == pytest.approx(3.182446 * error, rel=1e-5)


@pytest.fixture(scope="module")
def own_prices(tmp_path_factory):
    path = tmp_path_factory.mktemp("prices") / "own.csv"
    rng = np.random.default_rng(1)
    returns = 0.01 * garch_returns(560, rng)
    close = 100 * np.exp(np.cumsum(returns))
    first = np.concatenate([[100], close[:-1]])
    spread = np.abs(returns) * rng.random(560) + 1e-3
    table = zip(
        np.datetime64("2001-01-01") + np.arange(560),
        first,
        np.maximum(first, close) * (1 + spread),
        np.minimum(first, close) * (1 - spread),
        close,
        strict=True,
    )
    rows = [",".join(map(str, row)) for row in table]
    path.write_text("\n".join(["Date,Open,High,Low,Close", *rows]))
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory, own_prices):
    runs = tmp_path_factory.mktemp("runs")
    own = ["--task.path", str(own_prices), "--runs", str(runs)]
    assert command.train("volatility", [*TINY, *own]) == 0
    return command.last_run(runs / "volatility")


def test_a_run_has_a_report_a_card_and_scores(run):
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    for horizon in ("day", "month"):
        for end in ("", "_har", "_log_har", "_garch"):
            assert last[f"test/{horizon}_qlike{end}"] > 0
        assert last[f"test/{horizon}_mse_har"] == 1
    page = (run / "report.html").read_text()
    assert "Is it better?" in page
    assert "How far can this be believed?" in page
    model, variables, task = load(run)
    past = jnp.asarray(task.load()["test"][0]["past"])
    own = jax.tree.map(lambda leaf: leaf[1], variables)
    assert model.apply(own, past[:, 1]).shape == (40, 2)


def test_each_fold_has_parameters_of_its_own_and_forecasts_its_own_days(run):
    experiment, params = reopen.reopen_experiment(run, "last")
    bucket = experiment.task.load()["test"][0]
    (forecasts,) = experiment.forecasts(params)
    assert forecasts.by["attention"].shape == forecasts.by["har"].shape == (80, 2)
    assert (np.diff(forecasts.date) == np.timedelta64(1, "D")).all()
    second = jax.tree.map(lambda leaf: leaf[1], params)
    logs = experiment.sized_model().apply({"params": second}, jnp.asarray(bucket["past"][:, 1]))
    expected = np.exp(np.asarray(logs)) * bucket["scale"][:, 1, None]
    np.testing.assert_allclose(forecasts.by["attention"][40:], expected, rtol=1e-4)
    np.testing.assert_allclose(forecasts.weights.sum(-1), 1, atol=1e-5)


def test_it_learns_one_batch_by_heart():
    rng = np.random.default_rng(0)
    past = jnp.asarray(rng.standard_normal((12, 30, 2)), jnp.float32)
    target = jnp.asarray(rng.uniform(-1, 1, (12, 2)), jnp.float32)
    model, optimizer = HorizonAttention(window=30, dropout_rate=0.0), optax.adam(1e-2)
    params = model.init(jax.random.key(0), past)["params"]

    def objective(params):
        return jnp.square(model.apply({"params": params}, past) - target).mean()

    @jax.jit
    def fit(params):
        def step(_, carry):
            params, state = carry
            updates, state = optimizer.update(jax.grad(objective)(params), state)
            return optax.apply_updates(params, updates), state

        return jax.lax.fori_loop(0, 200, step, (params, optimizer.init(params)))[0]

    assert objective(fit(params)) < 0.01

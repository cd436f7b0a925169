"""Prices, their variances, and splits that never see the future, on series made here."""

import hashlib

import numpy as np
import pytest

from attn_jax.tasks import Volatility
from attn_jax.tasks.volatility import prices
from attn_jax.tasks.volatility.folds import walk_forward
from attn_jax.tasks.volatility.prices import garman_klass, read_market, read_prices

HEADER = "Date,Open,High,Low,Close,Volume"
ROWS = ["2020-01-02,100,110,95,105,7", "1/3/2020,105,120,100,101,8"]


def written(folder, lines):
    path = folder / "own.csv"
    path.write_text("\r\n".join(lines) + "\r\n", encoding="utf-8")
    return path


def series(days, seed=0):
    """Return the lines of a random walk."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(0.01 * rng.standard_normal(days)))
    first = np.concatenate([[100], close[:-1]])
    high = np.maximum(first, close) * (1 + 0.01 * rng.random(days))
    low = np.minimum(first, close) * (1 - 0.01 * rng.random(days) - 1e-4)
    dates = np.datetime64("2001-01-01") + np.arange(days)
    table = zip(dates, first, high, low, close, strict=True)
    return [HEADER, *(",".join([str(d), *(f"{v:.6f}" for v in row), "1"]) for d, *row in table)]


def test_prices_and_the_variance_of_a_day_by_hand(tmp_path):
    read = read_prices(written(tmp_path, [HEADER, *ROWS]))
    assert read.name == "own"
    assert read.date.tolist() == [np.datetime64(d).item() for d in ("2020-01-02", "2020-01-03")]
    np.testing.assert_array_equal(read.close, [105, 101])
    np.testing.assert_allclose(read.returns, [0, np.log(101 / 105)])
    # 0.5 ln(110/95)² − 0.386294 ln(105/100)² = 0.0107463 − 0.0009196
    np.testing.assert_allclose(garman_klass(read)[0], 0.0098271, rtol=1e-4)


def test_no_day_of_training_knows_a_day_of_a_later_part():
    folds = walk_forward(1000, 30, 3, validation=50, test=100, origin="it")
    for number, fold in enumerate(folds):
        assert fold.train[0] == 29
        assert len(fold.validation) == 50
        # The month after the last example of a part has ended when the next part begins.
        assert fold.train[-1] + 22 <= fold.validation[0]
        assert fold.validation[-1] + 22 <= fold.test[0]
        assert fold.test[0] == 1000 - 22 - (3 - number) * 100
    assert folds[-1].test[-1] + 22 == 999
    assert (np.diff(np.concatenate([fold.test for fold in folds])) == 1).all()


def test_examples_are_what_was_known_and_what_came(tmp_path):
    path = written(tmp_path, series(700))
    task = Volatility(path=path, window=30, folds=2, test_days=60, validation_days=40)
    market = task.markets[0]
    variance = garman_klass(market)
    bucket, folds = task.load()["test"][0], task.split(market)
    assert bucket["past"].shape == (60, 2, 30, 2)
    day = int(folds[1].test[7])
    month = variance[day - 21 : day + 1].mean()
    past, target, scale = (bucket[name][7, 1] for name in ("past", "target", "scale"))
    np.testing.assert_allclose(scale, month, rtol=1e-5)
    np.testing.assert_allclose(past[:, 0], np.log(variance[day - 29 : day + 1] / month), atol=1e-4)
    returns = np.log(market.close[day - 29 : day + 1] / market.close[day - 30 : day])
    np.testing.assert_allclose(past[:, 1], returns / np.sqrt(month), atol=1e-4)
    after = variance[day + 1], variance[day + 1 : day + 23].mean()
    np.testing.assert_allclose(target * scale, after, rtol=1e-4)
    train = task.load()["train"][0]
    # The first fold has fewer days, and repeats them from the first.
    first = len(folds[0].train)
    assert first < len(train["past"]) == len(folds[1].train)
    np.testing.assert_array_equal(
        train["past"][first:, 0], train["past"][: len(train["past"]) - first, 0]
    )


def test_a_market_is_kept_and_a_damaged_one_is_fetched_again(tmp_path, monkeypatch):
    content = "\r\n".join([HEADER, *ROWS]).encode()
    monkeypatch.setenv("ATTN_JAX_CACHE", str(tmp_path))
    monkeypatch.setitem(prices.MARKETS, "sp500", hashlib.sha256(content).hexdigest())
    (tmp_path / "prices-sp500.csv").write_bytes(content)
    assert read_market("sp500").close.tolist() == [105, 101]
    (tmp_path / "prices-sp500.csv").write_bytes(content.replace(b"110", b"111"))
    # With no installer that knows the wheel, fetching it again fails and says what can be done.
    monkeypatch.setattr(prices, "ARCH", prices.Wheel("no-such-package-of-prices", "1", "0" * 64))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(FileNotFoundError, match=r"(?s)sp500 are not in the cache.*--task\.path"):
        read_market("sp500")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "line 1: there is no column Date among none; name the columns"),
        (["Day,Open,High,Low,Close"], "line 1: there is no column Date among Day, Open"),
        ([HEADER, "soon,1,2,1,2,3"], "line 2: 'soon' is no date; write it as 2018-12-31"),
        ([HEADER, ROWS[0], ROWS[0]], "line 3: 2020-01-02 does not come after 2020-01-02; sort"),
        ([HEADER, "2020-01-02,1,2,1,$2,3"], r"line 2: the Close '\$2' is no price; write a number"),
        ([HEADER, "2020-01-02,1,2,-1,2,3"], "line 2: the Low '-1' is no price"),
        ([HEADER, "2020-01-02,1,2"], "line 2: the Low None is no price"),
        ([HEADER, "2020-01-02,1,2,1,3,3"], "line 2: the Low 1 and the High 2 do not hold the Open"),
        ([HEADER, "2020-01-02,2,2,2,2,3"], "line 2: the High and the Low are both 2"),
        (series(99), "has 99 days, and 5 folds of 504 test days need 3124; add days, or lower"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else "",
)
def test_refuses_files_that_are_no_prices(tmp_path, lines, said):
    with pytest.raises(ValueError, match=rf"own\.csv.*{said}"):
        Volatility(path=written(tmp_path, lines)).load()


def test_other_files_and_a_missing_one_are_named(tmp_path):
    path = tmp_path / "own.csv"
    with pytest.raises(FileNotFoundError, match=r"there is no file .*own\.csv; --task\.path names"):
        Volatility(path=path).load()
    path.write_bytes(b"\x1f\x8b\xff\x00")
    with pytest.raises(ValueError, match=r"own\.csv is a gzip file; save it as a CSV in UTF-8"):
        Volatility(path=path).load()


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"window": 9}, "window=9 must be at least 22"), ({"folds": 0}, "folds=0 must be at least 1")],
    ids=["window", "folds"],
)
def test_refuses_settings_out_of_range(settings, said):
    with pytest.raises(ValueError, match=said):
        Volatility(**settings)

"""Daily prices, read from a CSV of a user's own or from a wheel."""

import csv
import datetime
import gzip
import hashlib
import io
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from attn_jax.tasks.cache import cache_folder
from attn_jax.tasks.fetch import FetchError, Wheel, fetch_wheel
from attn_jax.tasks.signatures import describe_content

__all__ = ["MARKETS", "Prices", "garman_klass", "read_market", "read_prices"]

ARCH = Wheel(
    "arch",
    "8.0.0",
    "975ec3bdf7926335742ac362251fafe32b448b8f194dead062f22a00beef772d",
    python_version="3.11",
    platform="manylinux_2_28",
)
"""The wheel with the series (NCSA license)."""

MARKETS = {
    "sp500": "1c4d0aeed8db9284de8ad71e4063c97f645ad6dd13507f8e305338e96c396ba7",
    "nasdaq": "799ab0bf4a29129f23c27743098215c4033c139ff76dc935a1cd53d1aea9997e",
}
"""The sha256 of each series as text: S&P 500 and NASDAQ Composite, 1999 to 2018."""

_COLUMNS = ("Open", "High", "Low", "Close")
_DATES = ("%Y-%m-%d", "%m/%d/%Y")


class Prices(NamedTuple):
    """The prices of one market, a row for each day of trade.

    Attributes:
        name: The name of the market.
        date: The days, `datetime64[D]`, (t,).
        open: The first price of each day, (t,).
        high: The highest.
        low: The lowest.
        close: The last.
    """

    name: str
    date: NDArray
    open: NDArray
    high: NDArray
    low: NDArray
    close: NDArray

    @property
    def returns(self) -> NDArray:
        """The logarithm of each day's close less that of the day before, (t,); the first is 0."""
        return np.diff(np.log(self.close), prepend=np.log(self.close[0]))


def garman_klass(prices: Prices) -> NDArray:
    r"""Estimate the variance of each day's returns from its four prices.

    .. math:: \tfrac12 \ln^2(H/L) - (2 \ln 2 - 1) \ln^2(C/O)

    Args:
        prices: Daily prices.

    Returns:
        Positive numbers, (t,).

    References:
        Garman and Klass, "On the Estimation of Security Price Volatilities from Historical Data",
        1980.
    """
    ranges = np.log(prices.high / prices.low) ** 2
    return ranges / 2 - (2 * np.log(2) - 1) * np.log(prices.close / prices.open) ** 2


def read_market(name: str) -> Prices:
    """Read one of :data:`MARKETS` from the cache, or fetch it and keep it there.

    Args:
        name: The name of the market.

    Raises:
        FileNotFoundError: If it is not in the cache and cannot be fetched; with the way out.
    """
    path = cache_folder() / f"prices-{name}.csv"
    if path.is_file():
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() == MARKETS[name]:
            return _parse(content.decode(), name, path)
    content = _fetch(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError:
        pass  # It is fetched again the next time.
    return _parse(content.decode(), name, path)


def _fetch(name: str) -> bytes:
    try:
        with fetch_wheel(ARCH) as root:
            packed = root.joinpath("arch", "data", name, f"{name}.csv.gz").read_bytes()
    except FetchError as error:
        raise FileNotFoundError(
            f"the prices of {name} are not in the cache {cache_folder()}, and {error}\nConnect to "
            "a package registry once, or name a CSV of prices with --task.path."
        ) from error
    content = gzip.decompress(packed)
    digest = hashlib.sha256(content).hexdigest()
    if digest != MARKETS[name]:
        raise ValueError(f"{name} in {ARCH} has the sha256 {digest}; expected {MARKETS[name]}.")
    return content


def read_prices(path: Path) -> Prices:
    """Read a CSV of daily prices.

    Args:
        path: A file with the columns `Date`, `Open`, `High`, `Low` and `Close`, in any order and
            perhaps with more, separated by commas.

    Returns:
        The prices, named as the file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be used, with the line, the fault and the way out.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no file {path.absolute()}; --task.path names a CSV of daily prices with the "
            f"columns Date, {', '.join(_COLUMNS)}."
        )
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        kind = describe_content(content) or "not text in UTF-8"
        raise ValueError(f"{path} is {kind}; save it as a CSV in UTF-8.") from error
    return _parse(text, path.stem, path)


def _parse(text: str, name: str, path: Path) -> Prices:
    rows = csv.DictReader(io.StringIO(text, newline=""))
    header = [column.strip() for column in rows.fieldnames or ()]
    missing = [column for column in ("Date", *_COLUMNS) if column not in header]
    if missing:
        raise ValueError(
            f"{path}, line 1: there is no column {missing[0]} among {', '.join(header) or 'none'}; "
            f"name the columns Date, {', '.join(_COLUMNS)} in the first line, between commas."
        )
    rows.fieldnames = header
    days, prices = [], []
    for row in rows:
        where = f"{path}, line {rows.line_num}"
        day, numbers = _day(row["Date"], where), _numbers(row, where)
        if days and day <= days[-1]:
            raise ValueError(
                f"{where}: {day} does not come after {days[-1]}; sort the lines by date, each day "
                "once."
            )
        days.append(day)
        prices.append(numbers)
    table = np.array(prices, float).reshape(-1, 4)
    return Prices(name, np.array(days, "datetime64[D]"), *table.T)


def _day(cell: str | None, where: str) -> datetime.date:
    for form in _DATES:
        try:
            return datetime.datetime.strptime((cell or "").strip(), form).date()
        except ValueError:
            continue
    raise ValueError(f"{where}: {cell!r} is no date; write it as 2018-12-31 or 12/31/2018.")


def _numbers(row: dict[str, str], where: str) -> list[float]:
    numbers = []
    for column in _COLUMNS:
        try:
            number = float(row[column])
        except (TypeError, ValueError):
            number = math.nan
        if not (math.isfinite(number) and number > 0):
            raise ValueError(
                f"{where}: the {column} {row[column]!r} is no price; write a number above 0, with "
                "a point and without a currency, or delete the line."
            )
        numbers.append(number)
    first, high, low, last = numbers
    if high < max(numbers) or low > min(numbers):
        raise ValueError(
            f"{where}: the Low {low:g} and the High {high:g} do not hold the Open {first:g} and "
            f"the Close {last:g}; correct the line, or delete it."
        )
    if high == low:
        raise ValueError(
            f"{where}: the High and the Low are both {high:g}, and a day on which the price stands "
            "still has no volatility; delete the line."
        )
    return numbers

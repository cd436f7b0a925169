"""Parts of a fuzzing case: drawn arguments, formulas in float64, and comparisons."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st

B, Q, K, H, D, E = 2, 3, 5, 2, 4, 6


class Case(NamedTuple):
    """The arguments of a public function, and what must hold of its result.

    Attributes:
        arguments: Draws the arguments, by name.
        check: Called with the result and the arguments; raises if the result is wrong.
        call: Called with the function and the arguments, where the function needs more than a call
            with them.
        share: How many of the examples it gets; less than 1 for slow functions.
    """

    arguments: Callable[["Draw"], dict[str, Any]]
    check: Callable[..., None]
    call: Callable[..., Any] | None = None
    share: float = 1.0

    def run(self, function: Callable, arguments: dict[str, Any]) -> Any:
        """Call the function with its arguments, as arrays of JAX."""
        arguments = jax.tree.map(
            lambda x: jnp.asarray(x) if isinstance(x, np.ndarray | np.generic) else x, arguments
        )
        return self.call(function, **arguments) if self.call else function(**arguments)


class Draw:
    """Draws arrays of a few shapes, so that compiled programs are found again."""

    def __init__(self, draw: Callable) -> None:
        self._draw = draw

    def pick(self, *options: Any) -> Any:
        return self._draw(st.sampled_from(options))

    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self._draw(st.integers(0, 2**16)))

    def floats(self, *shape: int) -> np.ndarray:
        """Numbers of one kind: of size one, large, tied, all zero, or with one that stands out."""
        kind, x = (
            self.pick("normal", "large", "ties", "zeros", "peak"),
            self.rng().normal(size=shape),
        )
        x = {"large": 4 * x, "ties": x.round() + 0.0, "zeros": np.zeros(shape)}.get(kind, x)
        if kind == "peak" and x.size:
            x.flat[0] = 9
        return x.astype(np.float32)

    def mask(self, *shape: int) -> np.ndarray:
        kind, x = self.pick("random", "all", "none", "first"), self.rng().random(shape) < 0.6
        return {"all": x | True, "none": x & False, "first": np.indices(shape)[-1] < 2}.get(kind, x)

    def some(self, *shape: int) -> np.ndarray:
        """A mask with at least one True in each row."""
        mask = self.mask(*shape)
        return mask | (~mask.any(-1, keepdims=True) & (np.arange(shape[-1]) == 1))

    def weights(self, *shape: int) -> np.ndarray:
        """Distributions along the last axis: spread, on one key each, or uniform."""
        kind, rng = self.pick("spread", "one", "uniform"), self.rng()
        if kind == "one":
            return np.eye(shape[-1], dtype=np.float32)[rng.integers(shape[-1], size=shape[:-1])]
        x = rng.random(shape) + 0.01 if kind == "spread" else np.ones(shape)
        return (x / x.sum(-1, keepdims=True)).astype(np.float32)

    def masks(self, *shape: int) -> dict[str, np.ndarray | None]:
        """A mask, a bias and a mask of keys for scores of a shape, each of them or none."""
        ranks = shape, shape[-2:], shape[-1:]
        bias = self.pick(None, *ranks)
        if bias is not None:
            bias = np.where(self.mask(*bias), self.floats(*bias), self.pick(0.5, -np.inf))
            bias = bias.astype(np.float32)
        mask = self.pick(None, *ranks)
        key_mask = self.mask(shape[0], shape[-1]) if self.pick(True, False) else None
        return {
            "mask": None if mask is None else self.mask(*mask),
            "bias": bias,
            "key_mask": key_mask,
        }

    def spoil(self, arguments: dict[str, Any], shape: tuple[int, ...], *names: str) -> dict:
        """Perhaps put NaN where no query looks; `names` have the axes (batch, keys, ...)."""
        value = self.pick(0.0, np.nan, np.inf)
        is_seen = visible(shape, **arguments)
        is_seen = is_seen.any(axis=tuple(range(1, is_seen.ndim - 1)))
        for name in names if value else ():
            x = arguments[name]
            mask = is_seen.reshape(*is_seen.shape, *(1,) * (x.ndim - 2))
            arguments[name] = np.where(mask, x, np.float32(value))
        return arguments


def draws(**parts: Callable[[Draw], Any]) -> Callable[[Draw], dict[str, Any]]:
    """Draw each argument apart."""
    return lambda draw: {name: part(draw) for name, part in parts.items()}


def floats(*shape: int) -> Callable[[Draw], np.ndarray]:
    return lambda draw: draw.floats(*shape)


def weights(*shape: int) -> Callable[[Draw], np.ndarray]:
    return lambda draw: draw.weights(*shape)


def mask(*shape: int) -> Callable[[Draw], np.ndarray]:
    return lambda draw: draw.mask(*shape)


def pick(*options: Any) -> Callable[[Draw], Any]:
    return lambda draw: draw.pick(*options)


def double(x: Any) -> np.ndarray:
    return np.asarray(x, np.float64)


def finite(x: Any) -> np.ndarray:
    """Return numbers in float64, with zeros where no query looks and numbers were spoiled."""
    return np.nan_to_num(double(x), nan=0, posinf=0, neginf=0)


def visible(shape, mask=None, bias=None, key_mask=None, **_) -> np.ndarray:
    """Return the pairs that may attend."""
    seen = np.ones(shape, bool)
    if mask is not None:
        seen = seen & np.asarray(mask)
    if bias is not None:
        seen = seen & (np.asarray(bias) > -np.inf)
    if key_mask is not None:
        middle = (1,) * (len(shape) - 2)
        seen = seen & np.asarray(key_mask).reshape(len(key_mask), *middle, shape[-1])
    return seen


def softmax64(scores: np.ndarray, seen: np.ndarray | None = None) -> np.ndarray:
    """Return weights in float64; zeros for a row that sees nothing."""
    seen = np.ones(np.shape(scores), bool) if seen is None else np.broadcast_to(seen, scores.shape)
    largest = np.where(seen, scores, -np.inf).max(-1, keepdims=True, initial=-np.inf)
    shifted = np.where(seen, scores, 0) - np.where(np.isfinite(largest), largest, 0)
    powers = np.where(seen, np.exp(np.minimum(shifted, 0)), 0)
    total = powers.sum(-1, keepdims=True)
    return powers / np.where(total == 0, 1, total)


def close(result: Any, expected: Any, tolerance: float = 1e-4) -> None:
    """Compare shapes, and numbers relative to the largest of those expected."""
    result, expected = np.asarray(result), double(expected)
    assert result.shape == expected.shape, (result.shape, expected.shape)
    largest = np.abs(expected[np.isfinite(expected)]).max(initial=1)
    np.testing.assert_allclose(
        result.astype(np.float64), expected, rtol=tolerance, atol=tolerance * largest
    )


def equal(result: Any, expected: Any) -> None:
    np.testing.assert_array_equal(np.asarray(result), expected)


def are_distributions(rows: Any) -> None:
    """Check that rows are not negative and sum to one, or are zero."""
    rows = double(rows)
    sums = rows.sum(-1)
    assert (rows >= -1e-6).all()
    assert (np.minimum(np.abs(sums - 1), np.abs(sums)) < 1e-4).all(), sums

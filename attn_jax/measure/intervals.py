"""Intervals of a mean over examples, and tests of whether it is above zero."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from attn_jax.measure.keywords import rng_by_keyword


def mean_interval(
    values: Float[Array, " n"],
    *,
    bounds: tuple[float, float] | None = None,
    level: float = 0.95,
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """Return the mean over examples and its Student interval.

    Few examples of a bounded measure are often all alike, and the plain interval then has no width.
    With `bounds` the interval is that of the examples and two more, one at each end of the range,
    as Agresti and Coull add two successes and two failures to a proportion.

    Args:
        values: A number for each example; NaN values are left out.
        bounds: The lowest and the highest value that the measure can take, if there are such.
        level: The share of such intervals that contain the true mean.

    Returns:
        The mean, which is that of the examples alone, and both ends of the interval. A single
        example, or none, gives the whole range, which is infinite without bounds.

    Example:
        >>> mean, low, high = mean_interval(jnp.ones(8), bounds=(0.0, 1.0))
        >>> float(mean), round(float(low), 2), float(high)
        (1.0, 0.64, 1.0)

    References:
        A. Agresti and B. Coull, "Approximate is better than exact for interval estimation of
        binomial proportions", The American Statistician 52, 1998.
    """
    from scipy.special import stdtrit  # slow to import, and used only here

    is_number = ~jnp.isnan(values)
    count = is_number.sum()
    mean = jnp.where(is_number, values, 0).sum() / count
    # The number of examples is known only when the program runs: one quantile for each.
    quantiles = stdtrit(np.arange(len(values) + 1) - 1.0, (1 + level) / 2)
    quantile = jnp.asarray(np.where(np.arange(len(values) + 1) < 2, np.inf, quantiles))[count]

    ends = jnp.asarray(bounds if bounds else (), values.dtype)
    members = jnp.concatenate([values, ends])
    number = jnp.maximum(count + len(ends), 1)
    center = jnp.nansum(members) / number
    variance = jnp.nansum((members - center) ** 2) / jnp.maximum(number - 1, 1)
    error = quantile * jnp.sqrt(variance / jnp.maximum(count, 1))
    # Infinity times no spread is NaN.
    error = jnp.where(count < 2, jnp.inf, error)
    low, high = bounds or (-jnp.inf, jnp.inf)
    return mean, jnp.clip(center - error, low, high), jnp.clip(center + error, low, high)


@rng_by_keyword
def sign_flip_test(
    values: Float[Array, " n"], *, rng: PRNGKeyArray, draws: int = 2000
) -> Float[Array, ""]:
    """Return the p-value of a mean above zero, by flipping the signs of the examples at random.

    If nothing but chance decided the signs, the mean would be among the highest `p` of those with
    random signs with a probability of at most `p`. For a difference of two measures this is the
    paired permutation test.

    Args:
        values: A number for each example; NaN values are left out.
        rng: Random key for the signs.
        draws: The number of random signs for each example.

    Returns:
        The one-sided p-value, at least `1 / (draws + 1)`; 1 where all values are zero or NaN.

    Example:
        >>> sign_flip_test(jnp.zeros(8), rng=jax.random.key(0))
        Array(1., dtype=float32)

    References:
        R. A. Fisher, "The Design of Experiments", 1935, section 21; the observed signs count as one
        of the draws, after B. Phipson and G. Smyth, "Permutation P-values should never be zero",
        2010, https://arxiv.org/abs/1603.05766.
    """
    numbers = jnp.nan_to_num(values, nan=0.0)
    signs = jax.random.rademacher(rng, (draws, len(values)), values.dtype)
    return flipped_share(signs, numbers, rounding=1e-6)


def flipped_share(signs: Any, numbers: Any, *, rounding: float) -> Any:
    """Return the share of sign flips, with that of no flip, that reach the sum of some numbers.

    Args:
        signs: Ones of either sign, `(draws, n)`; an array of NumPy or JAX.
        numbers: The numbers, `(n,)`.
        rounding: The error of a sum, as a share of the sum of the sizes. Sums of the same numbers
            in another order differ by it, and count as equal.
    """
    extreme = signs @ numbers >= numbers.sum() - rounding * abs(numbers).sum()
    return (1 + extreme.sum()) / (len(signs) + 1)


def holm(p_values: Float[Array, " m"]) -> Float[Array, " m"]:
    """Return p-values adjusted for the number of tests, by Holm's step-down procedure.

    Rejecting every hypothesis whose adjusted value is below 0.05 is wrong about any of them with a
    probability of at most 0.05, however the tests depend on each other.

    Args:
        p_values: The p-value of each test; NaN values do not count as tests and stay NaN.

    Returns:
        The adjusted p-values, in the order of the tests.

    Example:
        >>> holm(jnp.array([0.01, 0.04, 0.03]))
        Array([0.03, 0.06, 0.06], dtype=float32)

    References:
        S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
        Statistics 6, 1979.
    """
    return step_down(jnp, p_values)


def step_down(xp: Any, p_values: Any) -> Any:
    """Return p-values adjusted by Holm's procedure, with arrays of NumPy or of JAX.

    Args:
        xp: `numpy` or `jax.numpy`.
        p_values: The p-value of each test, as an array of that module.
    """
    p, other = p_values[:, None], p_values[None]
    # A test is multiplied by the number of those that are no more significant; NaN is none.
    adjusted = xp.broadcast_to(p * (other >= p).sum(1, keepdims=True), (len(p), len(p)))
    largest = xp.max(adjusted, axis=0, where=p <= other, initial=0.0)
    return xp.where(xp.isnan(p_values), xp.nan, xp.minimum(largest, 1))

"""Agreement between two maps, or between a map and the truth."""

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtr, ndtri
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from attn_jax.measure.keywords import rng_by_keyword


def kendall_tau(
    first: Float[Array, "*b k"],
    second: Float[Array, "*b k"],
    mask: Bool[Array, "*b k"] | None = None,
) -> Float[Array, "*b"]:
    r"""Return Kendall's rank correlation, corrected for ties (:math:`\tau_b`).

    .. math:: \tau_b = \frac{C - D}{\sqrt{(n_0 - t_1)(n_0 - t_2)}}

    where, of all :math:`n_0` pairs of keys, :math:`C` are in the same order in both rankings,
    :math:`D` in opposite orders, and :math:`t_1` and :math:`t_2` tied in the one and the other.

    Args:
        first: A number for each key.
        second: Another number for each key.
        mask: True for the keys that exist; all by default.

    Returns:
        The correlation, between -1 and 1; NaN where all keys of one ranking are tied.

    Example:
        >>> kendall_tau(jnp.array([1.0, 2.0, 3.0]), jnp.array([1.0, 3.0, 2.0])).round(4)
        Array(0.3333, dtype=float32)

    References:
        M. G. Kendall, "The treatment of ties in ranking problems", Biometrika 33, 1945.
    """
    mask = jnp.ones(first.shape, bool) if mask is None else mask
    pairs = mask[..., :, None] & mask[..., None, :]
    one, other = (
        jnp.where(pairs, jnp.sign(x[..., :, None] - x[..., None, :]), 0) for x in (first, second)
    )
    both = (one * other).sum((-2, -1))
    untied = [jnp.abs(x).sum((-2, -1)) for x in (one, other)]
    return both / jnp.sqrt(untied[0] * untied[1])


def total_variation(
    first: Float[Array, "*b c"], second: Float[Array, "*b c"]
) -> Float[Array, "*b"]:
    """Return half the sum of absolute differences: 0 if equal, 1 if the supports are disjoint.

    Args:
        first: A distribution.
        second: Another distribution.

    Returns:
        One number for each pair.

    Example:
        >>> total_variation(jnp.array([0.5, 0.5]), jnp.array([1.0, 0.0]))
        Array(0.5, dtype=float32)
    """
    return jnp.abs(first - second).sum(-1) / 2


def jensen_shannon(first: Float[Array, "*b k"], second: Float[Array, "*b k"]) -> Float[Array, "*b"]:
    """Return the Jensen-Shannon divergence of two distributions, in bits: 0 if equal, at most 1.

    Args:
        first: A distribution.
        second: Another distribution.

    Returns:
        One number for each pair.

    Example:
        >>> jensen_shannon(jnp.array([1.0, 0.0]), jnp.array([0.0, 1.0]))
        Array(1., dtype=float32)

    References:
        J. Lin, "Divergence measures based on the Shannon entropy", 1991.
    """
    middle = (first + second) / 2
    return (_relative_entropy(first, middle) + _relative_entropy(second, middle)) / 2


def _relative_entropy(first: Array, second: Array) -> Array:
    safe = first > 0
    ratio = jnp.where(safe, first, 1) / jnp.where(safe, second, 1)
    return (first * jnp.log2(ratio)).sum(-1)


def pointing_game(values: Float[Array, "*b k"], objects: Bool[Array, "*b k"]) -> Float[Array, "*b"]:
    """Return whether the top key of a map lies on the object.

    Args:
        values: The map. If several keys share the highest value, the share of them that hits.
        objects: True for the keys of the object.

    Returns:
        1 for a hit, 0 for a miss.

    Raises:
        ValueError: If the shapes of objects and map differ.

    Example:
        >>> pointing_game(jnp.array([0.1, 0.7, 0.2]), jnp.array([False, True, True]))
        Array(1., dtype=float32)

    References:
        Zhang et al., "Top-down Neural Attention by Excitation Backprop", 2016, section 4.2,
        https://arxiv.org/abs/1608.00507.
    """
    check_objects(objects.shape, values.shape)
    highest = values == values.max(-1, keepdims=True)
    return (highest & objects).sum(-1) / highest.sum(-1)


def mass_on_object(
    values: Float[Array, "*b k"], objects: Bool[Array, "*b k"]
) -> Float[Array, "*b"]:
    """Return the share of a map that lies on the object.

    Args:
        values: The map, nowhere negative.
        objects: True for the keys of the object.

    Returns:
        The share, between 0 and 1; 0 for a map that is zero.

    Raises:
        ValueError: If the shapes of objects and map differ.

    Example:
        >>> mass_on_object(jnp.array([0.25, 0.25, 0.5]), jnp.array([False, True, True]))
        Array(0.75, dtype=float32)
    """
    check_objects(objects.shape, values.shape)
    total = values.sum(-1)
    return jnp.where(objects, values, 0).sum(-1) / jnp.where(total == 0, 1, total)


def check_objects(objects: tuple[int, ...], values: tuple[int, ...]) -> None:
    """Refuse object masks whose shape differs from the map's.

    Raises:
        ValueError: If they differ.
    """
    if objects != values:
        raise ValueError(
            f"objects has shape {objects}, but the map {values}; it must hold one boolean for each "
            "key of each example. Reduce an image's mask to the grid of its patches first."
        )


@rng_by_keyword
def bootstrap(
    values: Float[Array, " n"],
    *,
    rng: PRNGKeyArray,
    draws: int = 1000,
    level: float = 0.95,
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """Return the mean over examples and its bootstrap interval, corrected for bias and skewness.

    Args:
        values: A number for each example; NaN values are left out.
        rng: Random key for resampling the examples.
        draws: The number of resampled sets.
        level: The share of such intervals that contain the true mean. With few examples it is
            less, and equal examples give no width: see :func:`mean_interval`.

    Returns:
        The mean and both ends of the interval (BCa method, whose acceleration is that of the
        jackknife).

    Example:
        >>> mean, low, high = bootstrap(jnp.array([0.0, 1.0, 1.0, 0.0]), rng=jax.random.key(0))
        >>> float(mean), bool(low < mean < high)
        (0.5, True)

    References:
        B. Efron, "Better bootstrap confidence intervals", Journal of the American Statistical
        Association 82, 1987.
    """
    chosen = jax.random.randint(rng, (draws, len(values)), 0, len(values))
    means, mean = jnp.nanmean(values[chosen], axis=1), jnp.nanmean(values)
    # The share of sets below the mean, where equal ones count half and no share is quite 0 or 1.
    below = ((means < mean).mean() + (means <= mean).mean()) / 2
    bias = ndtri(jnp.clip(below, 0.5 / draws, 1 - 0.5 / draws))
    deviations = values - mean
    squares = jnp.nansum(deviations**2)
    skewness = jnp.nansum(deviations**3) / jnp.where(squares == 0, 1, squares) ** 1.5
    normal = bias + ndtri(jnp.array([(1 - level) / 2, (1 + level) / 2]))
    shares = ndtr(bias + normal / (1 - skewness / 6 * normal))
    low, high = jnp.nanquantile(means, shares)
    return mean, low, high

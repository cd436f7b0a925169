"""How far two maps, or a map and the truth, agree."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray


def kendall_tau(
    first: Float[Array, "*b k"],
    second: Float[Array, "*b k"],
    mask: Bool[Array, "*b k"] | None = None,
) -> Float[Array, "*b"]:
    r"""Kendall's rank correlation, corrected for ties (:math:`\tau_b`).

    .. math:: \tau_b = \frac{C - D}{\sqrt{(n_0 - t_1)(n_0 - t_2)}}

    over all pairs of keys: :math:`C` are in the same order in both, :math:`D` in opposite orders,
    :math:`n_0` are all, :math:`t_1` and :math:`t_2` are ties in one.

    Args:
        first: A number for each key.
        second: Another.
        mask: Which keys there are; all by default.

    Returns:
        Between -1 and 1; NaN where one of them orders nothing.

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
    """Half the sum of the differences of two distributions: 0 if equal, 1 if they share nothing.

    Args:
        first: Probabilities.
        second: Others.

    Returns:
        One number for each pair.

    Example:
        >>> total_variation(jnp.array([0.5, 0.5]), jnp.array([1.0, 0.0]))
        Array(0.5, dtype=float32)
    """
    return jnp.abs(first - second).sum(-1) / 2


def jensen_shannon(first: Float[Array, "*b k"], second: Float[Array, "*b k"]) -> Float[Array, "*b"]:
    """The Jensen-Shannon divergence of two distributions, in bits: 0 if equal, at most 1.

    Args:
        first: Probabilities.
        second: Others.

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


def _relative_entropy(of: Array, to: Array) -> Array:
    safe = of > 0
    ratio = jnp.where(safe, of, 1) / jnp.where(safe, to, 1)
    return (of * jnp.log2(ratio)).sum(-1)


def pointing_game(values: Float[Array, "*b k"], objects: Bool[Array, "*b k"]) -> Float[Array, "*b"]:
    """Whether the key that a map ranks highest lies on the object.

    Args:
        values: The map; keys that share its highest value count by their share of hits.
        objects: Which keys are the object.

    Returns:
        1 for a hit, 0 for a miss.

    Raises:
        ValueError: If the objects have another shape than the map.

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
    """The share of a map that lies on the object.

    Args:
        values: The map, at least zero everywhere.
        objects: Which keys are the object.

    Returns:
        Between 0 and 1; 0 for a map that is zero.

    Raises:
        ValueError: If the objects have another shape than the map.

    Example:
        >>> mass_on_object(jnp.array([0.25, 0.25, 0.5]), jnp.array([False, True, True]))
        Array(0.75, dtype=float32)
    """
    check_objects(objects.shape, values.shape)
    total = values.sum(-1)
    return jnp.where(objects, values, 0).sum(-1) / jnp.where(total == 0, 1, total)


def check_objects(objects: tuple[int, ...], values: tuple[int, ...]) -> None:
    """Refuses object masks of another shape than the map's.

    Raises:
        ValueError: If they differ.
    """
    if objects != values:
        raise ValueError(
            f"objects has shape {objects}, but the map {values}: one boolean for each key of each "
            "example is needed; reduce an image's mask to the grid of its patches first."
        )


def bootstrap(
    values: Float[Array, " n"],
    rng: PRNGKeyArray,
    *,
    draws: int = 1000,
    level: float = 0.95,
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """The mean over examples, and between which values it falls if the examples are drawn anew.

    Args:
        values: One for each example; NaN where it has none, which is left out.
        rng: For the draws.
        draws: How many.
        level: The share of draws within the interval.

    Returns:
        The mean and both ends of the interval (the percentile method).

    Example:
        >>> mean, low, high = bootstrap(jnp.array([0.0, 1.0, 1.0, 0.0]), jax.random.key(0))
        >>> float(mean), bool(low < mean < high)
        (0.5, True)

    References:
        B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    chosen = jax.random.randint(rng, (draws, len(values)), 0, len(values))
    means = jnp.nanmean(values[chosen], axis=1)
    low, high = jnp.nanquantile(means, jnp.array([(1 - level) / 2, (1 + level) / 2]))
    return jnp.nanmean(values), low, high

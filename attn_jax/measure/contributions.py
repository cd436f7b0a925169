"""What each key contributes to a score, and how far a map's mass shows it.

A *worth* is a function from the keys that keep their weight, `(n, k)` booleans, to the score of
each example, `(n,)`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Shaped

from attn_jax.hooks.freed import map_freed
from attn_jax.measure.keywords import rng_by_keyword

Worth = Callable[[Array], Array]
"""A function from the keys that keep their weight, `(n, k)` booleans, to scores `(n,)`."""


@rng_by_keyword
def shapley_values(
    worth: Worth, mask: Bool[Array, "n k"], *, rng: PRNGKeyArray, permutations: int = 16
) -> Float[Array, "n k"]:
    """Return each key's contribution to the score: its mean change as keys come in random orders.

    The contributions of an example sum to its score with all keys minus that with none, but for
    rounding. For a score that is a sum over keys they are exact; otherwise their errors shrink with
    the square root of the number of orders. Half of the orders are the others read backward, which
    cancels the part of the error that comes from pairs of keys.

    Args:
        worth: The score when only these keys keep their weight. It runs
            `(k - 1) * permutations + 2` times, each time for all examples.
        mask: True for the keys that exist; the others are never passed to `worth`.
        rng: Random key for the orders, which differ between examples.
        permutations: The number of orders, even.

    Returns:
        The contributions, zero for keys that do not exist.

    Raises:
        ValueError: If the number of orders is odd or not positive.

    Example:
        >>> values = jnp.array([[3.0, 1.0, -2.0]])
        >>> shapley_values(
        ...     lambda keep: (keep * values).sum(-1), jnp.ones((1, 3), bool), rng=jax.random.key(0)
        ... )
        Array([[ 3.,  1., -2.]], dtype=float32)

    References:
        L. S. Shapley, "A value for n-person games", 1953; sampled orders: J. Castro, D. Gómez and
        J. Tejada, "Polynomial calculation of the Shapley value based on sampling", 2009; reversed
        ones: R. Mitchell et al., "Sampling Permutations for Shapley Value Estimation", 2022,
        https://arxiv.org/abs/2104.12199.
    """
    if permutations < 2 or permutations % 2:
        raise ValueError(
            f"permutations={permutations} must be even and at least 2, since each order is also "
            "read backward."
        )
    _, keys = mask.shape
    places = _orders(rng, mask, permutations)

    def after(step: tuple[Array, Array]) -> Array:
        order, count = step
        return worth((places[order] < count) & mask)

    # With no key and with all of them, the order makes no difference.
    order, count = jnp.divmod(jnp.arange(permutations * (keys - 1)), max(keys - 1, 1))
    steps = (jnp.append(order, jnp.zeros(2, int)), jnp.append(count + 1, jnp.array([0, keys])))
    scores = map_freed(after, steps)
    none, full = (jnp.broadcast_to(x, (permutations, 1, len(mask))) for x in scores[-2:])
    between = scores[:-2].reshape(permutations, keys - 1, len(mask))
    gains = jnp.diff(jnp.concatenate([none, between, full], 1), axis=1)
    return jnp.where(mask, jnp.take_along_axis(gains.swapaxes(1, 2), places, -1).mean(0), 0)


def _orders(rng: Array, mask: Array, permutations: int) -> Array:
    """Draw the place of each key in random orders and their reverses; keys that are not, last."""
    places = sort_keys(jax.random.uniform(rng, (permutations // 2, *mask.shape)), mask)
    backward = mask.sum(-1)[None, :, None] - 1 - places
    return jnp.concatenate([places, jnp.where(mask[None], backward, places)])


def sort_keys(values: Shaped[Array, "m n k"], mask: Bool[Array, "n k"]) -> Int[Array, "m n k"]:
    """Return the place of each key by ascending values; the keys that do not exist come last.

    Args:
        values: A number for each key, several times.
        mask: True for the keys that exist.
    """
    order = jnp.argsort(jnp.where(mask[None], values, jnp.inf), axis=-1)
    return jnp.argsort(order, axis=-1).astype(jnp.int32)


def mass_overlap(
    values: Float[Array, "*b k"], contributions: Float[Array, "*b k"], mask: Bool[Array, "*b k"]
) -> Float[Array, "*b"]:
    r"""Return the mass that a map and the sizes of the contributions have in common.

    .. math:: \sum_k \min\left(\frac{a_k}{\sum_j a_j}, \frac{|c_j|}{\sum_j |c_j|}\right)

    One minus it is the total variation between the two: the share of the map's mass that lies on
    the wrong keys.

    Args:
        values: The map :math:`a`, nowhere negative.
        contributions: The contributions :math:`c`, of either sign.
        mask: True for the keys that exist; only these count.

    Returns:
        The overlap, from 0 if they share no key to 1 if they are proportional; NaN where either is
        zero everywhere.

    Example:
        >>> values, contributions = jnp.array([0.5, 0.5, 0.0]), jnp.array([0.0, 3.0, -1.0])
        >>> mass_overlap(values, contributions, jnp.ones(3, bool))
        Array(0.5, dtype=float32)
    """
    return jnp.minimum(_shares(values, mask), _shares(contributions, mask)).sum(-1)


def top_key_claim(
    values: Float[Array, "*b k"], contributions: Float[Array, "*b k"], mask: Bool[Array, "*b k"]
) -> tuple[Float[Array, "*b"], Float[Array, "*b"]]:
    """Return the share of a map that lies on its top key, and that key's share of contributions.

    Args:
        values: The map, nowhere negative. If several keys share the highest value, their mean
            contribution counts.
        contributions: The contributions, of either sign; their sizes are compared.
        mask: True for the keys that exist; only these count.

    Returns:
        Both shares, between 0 and 1; NaN where the map, or the contributions, are zero everywhere.

    Example:
        >>> values, contributions = jnp.array([0.75, 0.25]), jnp.array([0.0, -2.0])
        >>> top_key_claim(values, contributions, jnp.ones(2, bool))
        (Array(0.75, dtype=float32), Array(0., dtype=float32))
    """
    mass, contribution = _shares(values, mask), _shares(contributions, mask)
    claim = mass.max(-1)
    top = (mass == claim[..., None]) & mask
    # NaN is equal to nothing, so that no key is on top of a map without mass.
    return claim, jnp.where(top, contribution, 0).sum(-1) / top.sum(-1)


def _shares(values: Array, mask: Array) -> Array:
    """Return sizes as shares of their sum over the keys that exist; NaN where that is zero."""
    sizes = jnp.where(mask, jnp.abs(values), 0)
    return sizes / sizes.sum(-1, keepdims=True)

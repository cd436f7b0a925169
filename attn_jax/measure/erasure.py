"""What a model still says when keys are taken from it, in the order in which a map ranks them."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from attn_jax.measure.reweigh import Model, Pattern, keep_keys, run_reweighed

ERASER_BINS = (0.01, 0.05, 0.1, 0.2, 0.5)
FRACTIONS = (0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class Erasure(NamedTuple):
    """The target's probability with keys taken away and with keys alone.

    Attributes:
        fractions: (f,), the share of keys.
        deleted: (n, f), without that share of the keys, the highest ranked.
        inserted: (n, f), with that share alone.
        full: (n,), with all keys as they are.
    """

    fractions: Float[Array, " f"]
    deleted: Float[Array, "n f"]
    inserted: Float[Array, "n f"]
    full: Float[Array, " n"]


def rank_keys(
    values: Float[Array, "n k"], mask: Bool[Array, "n k"], rng: PRNGKeyArray
) -> Int[Array, "n k"]:
    """The place of each key when they are sorted by a map, the highest first.

    Args:
        values: The map.
        mask: Which keys there are; the others come last.
        rng: Decides between equals, so that equal weights rank at random.

    Returns:
        Places, from 0.

    Example:
        >>> rank_keys(jnp.array([[0.1, 0.7, 0.2]]), jnp.ones((1, 3), bool), jax.random.key(0))
        Array([[2, 0, 1]], dtype=int32)
    """
    noise = jax.random.uniform(rng, values.shape)
    order = jnp.lexsort((noise, -jnp.where(mask, values, -jnp.inf)), axis=-1)
    return jnp.argsort(order, axis=-1).astype(jnp.int32)


def erase(
    fn: Model,
    inputs: Any,
    places: Int[Array, "n k"],
    target: Int[Array, " n"],
    *,
    attention: Pattern = "*.weights",
    mask: Bool[Array, "n k"],
    fractions: tuple[float, ...] = FRACTIONS,
    renormalize: bool = True,
) -> Erasure:
    """Takes the weights of more and more keys away, the highest ranked first, and of the others.

    A key's weight goes to those left. Of `f` of the keys, rounded up, each example loses its own
    share: padding does not count.

    Args:
        fn: The model.
        inputs: A batch of its inputs.
        places: Each key's place, from :func:`rank_keys`.
        target: The class whose probability is looked at.
        attention: Which hook points hold the weights.
        mask: Which keys there are.
        fractions: The shares, ascending from 0 to 1 for areas under the curves.
        renormalize: Whether rows keep their sums.

    Returns:
        The probabilities.

    Example:
        >>> from attn_jax import hooks
        >>> def fn(x):
        ...     return hooks.tap("weights", jax.nn.softmax(x)) @ jnp.array([[9.0, 0.0], [0.0, 9.0]])
        >>> x, mask = jnp.array([[3.0, 0.0]]), jnp.ones((1, 2), bool)
        >>> places = rank_keys(x, mask, jax.random.key(0))
        >>> found = erase(fn, x, places, jnp.array([0]), attention="weights", mask=mask,
        ...               fractions=(0.0, 0.5, 1.0))
        >>> found.deleted.round(2)
        Array([[1. , 0. , 0.5]], dtype=float32)

    References:
        Deletion and insertion: Petsiuk, Das and Saenko, "RISE", 2018, section 4.1,
        https://arxiv.org/abs/1806.07421. Comprehensiveness and sufficiency: DeYoung et al.,
        "ERASER", 2020, section 4, https://arxiv.org/abs/1911.03429. Both take inputs away; here
        it is the attention to them.
    """
    counts = jnp.ceil(jnp.array(fractions)[:, None] * mask.sum(-1)[None] - 1e-6)
    keep_rest = places[None] >= counts[:, :, None]
    keeps = jnp.concatenate([keep_rest, ~keep_rest]) & mask[None]

    def of_target(keep: Array) -> Array:
        run = run_reweighed(fn, attention, keep_keys(keep, renormalize=renormalize))
        return jnp.take_along_axis(run(inputs), target[:, None], -1)[:, 0]

    # The first keeps all keys: what the model says as it is.
    deleted, inserted = jnp.split(jax.lax.map(of_target, keeps), 2)
    return Erasure(jnp.array(fractions), deleted.T, inserted.T, deleted[0])


def deletion_auc(found: Erasure) -> Float[Array, " n"]:
    """The area under the curve as keys are taken away; lower for a map that ranks well.

    Example:
        >>> f = jnp.array([0.0, 0.5, 1.0])
        >>> curve = jnp.array([[1.0, 0.5, 0.0]])
        >>> deletion_auc(Erasure(f, curve, curve, curve[:, 0]))
        Array([0.5], dtype=float32)
    """
    return _area(found.deleted, found.fractions)


def insertion_auc(found: Erasure) -> Float[Array, " n"]:
    """The area under the curve as keys are given back; higher for a map that ranks well.

    Example:
        >>> f = jnp.array([0.0, 0.5, 1.0])
        >>> curve = jnp.array([[0.0, 1.0, 1.0]])
        >>> insertion_auc(Erasure(f, curve, curve, curve[:, 2]))
        Array([0.75], dtype=float32)
    """
    return _area(found.inserted, found.fractions)


def comprehensiveness(found: Erasure, bins: tuple[float, ...] = ERASER_BINS) -> Float[Array, " n"]:
    """How much the target's probability falls without the highest keys, on average over bins.

    Args:
        found: Made with these fractions among its own.
        bins: The shares of keys.

    Returns:
        Higher for a map that ranks well.

    Raises:
        ValueError: If `found` lacks a bin.

    Example:
        >>> f, p = jnp.array([0.0, 0.5]), jnp.array([[0.75, 0.25]])
        >>> comprehensiveness(Erasure(f, p, p, p[:, 0]), bins=(0.5,))
        Array([0.5], dtype=float32)
    """
    return found.full - found.deleted[:, _places(found, bins)].mean(-1)


def sufficiency(found: Erasure, bins: tuple[float, ...] = ERASER_BINS) -> Float[Array, " n"]:
    """How much the target's probability falls with the highest keys alone, averaged over bins.

    Args:
        found: Made with these fractions among its own.
        bins: The shares of keys.

    Returns:
        Lower for a map that ranks well.

    Raises:
        ValueError: If `found` lacks a bin.

    Example:
        >>> f, p = jnp.array([0.0, 0.5]), jnp.array([[0.25, 0.5]])
        >>> sufficiency(Erasure(f, p, p, jnp.array([0.75])), bins=(0.5,))
        Array([0.25], dtype=float32)
    """
    return found.full - found.inserted[:, _places(found, bins)].mean(-1)


def _area(curve: Array, fractions: Array) -> Array:
    return (curve[:, 1:] + curve[:, :-1]) @ jnp.diff(fractions) / 2


def _places(found: Erasure, bins: tuple[float, ...]) -> Array:
    near = jnp.abs(found.fractions[None] - jnp.array(bins)[:, None])
    if not isinstance(near, Tracer) and float(near.min(-1).max()) > 1e-6:
        raise ValueError(f"bins={bins} must be among the fractions {found.fractions.tolist()}.")
    return near.argmin(-1)

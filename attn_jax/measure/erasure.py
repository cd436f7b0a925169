"""Erasure metrics: comprehensiveness, sufficiency, and the deletion and insertion curves."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from attn_jax.hooks.freed import map_freed
from attn_jax.measure.keywords import rng_by_keyword
from attn_jax.measure.outputs import of_target
from attn_jax.measure.reweigh import Model, Pattern, keep_keys, run_reweighed
from attn_jax.renames import renamed_arguments

ERASER_BINS = (0.01, 0.05, 0.1, 0.2, 0.5)
FRACTIONS = (0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class Erasure(NamedTuple):
    """The target's probability without its top keys, and with them alone.

    Attributes:
        fractions: The shares of keys, (f,).
        deleted: The probability without that share of the keys, the top ones, (n, f).
        inserted: The probability with that share alone, (n, f).
        full: The probability with all keys, (n,).
    """

    fractions: Float[Array, " f"]
    deleted: Float[Array, "n f"]
    inserted: Float[Array, "n f"]
    full: Float[Array, " n"]


@rng_by_keyword
def rank_keys(
    values: Float[Array, "n k"], mask: Bool[Array, "n k"], *, rng: PRNGKeyArray
) -> Int[Array, "n k"]:
    """Return the place of each key when they are sorted by a map, highest first.

    Args:
        values: The map.
        mask: True for the keys that exist; the others come last.
        rng: Random key that breaks ties, so that equal weights are ranked at random.

    Returns:
        The places, counted from 0.

    Example:
        >>> rank_keys(jnp.array([[0.1, 0.7, 0.2]]), jnp.ones((1, 3), bool), rng=jax.random.key(0))
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
    """Remove the attention to growing shares of the keys, top ones first, and to all but those.

    A removed key's weight goes to the keys that remain. The number of keys removed is a share of
    each example's own, rounded up: padding does not count.

    Args:
        fn: The model.
        inputs: A batch of its inputs.
        places: The place of each key, from :func:`rank_keys`.
        target: The class whose probability is returned.
        attention: The hook points that hold the weights.
        mask: True for the keys that exist.
        fractions: The shares of keys, ascending; from 0 to 1 for areas under the curves.
        renormalize: Whether rows keep their sums.

    Returns:
        The probabilities.

    Example:
        >>> from attn_jax import hooks
        >>> def fn(x):
        ...     return hooks.tap("weights", jax.nn.softmax(x)) @ jnp.array([[9.0, 0.0], [0.0, 9.0]])
        >>> x, mask = jnp.array([[3.0, 0.0]]), jnp.ones((1, 2), bool)
        >>> places = rank_keys(x, mask, rng=jax.random.key(0))
        >>> erasure = erase(fn, x, places, jnp.array([0]), attention="weights", mask=mask,
        ...                 fractions=(0.0, 0.5, 1.0))
        >>> erasure.deleted.round(2)
        Array([[1. , 0. , 0.5]], dtype=float32)

    References:
        Deletion and insertion: Petsiuk, Das and Saenko, "RISE", 2018, section 4.1,
        https://arxiv.org/abs/1806.07421. Comprehensiveness and sufficiency: DeYoung et al.,
        "ERASER", 2020, section 4, https://arxiv.org/abs/1911.03429. Both remove inputs; this
        function removes the attention to them.
    """
    counts = jnp.ceil(jnp.array(fractions)[:, None] * mask.sum(-1)[None] - 1e-6)
    keep_rest = places[None] >= counts[:, :, None]
    keeps = jnp.concatenate([keep_rest, ~keep_rest]) & mask[None]

    def target_probability(keep: Array) -> Array:
        run = run_reweighed(fn, attention, keep_keys(keep, renormalize=renormalize))
        return of_target(run(inputs), target)

    # The first entry keeps all keys, so it is the model's own output.
    deleted, inserted = jnp.split(map_freed(target_probability, keeps), 2)
    return Erasure(jnp.array(fractions), deleted.T, inserted.T, deleted[0])


@renamed_arguments(found="erasure")
def deletion_auc(erasure: Erasure) -> Float[Array, " n"]:
    """Return the area under the curve as keys are removed; lower for a map that ranks well.

    Example:
        >>> f = jnp.array([0.0, 0.5, 1.0])
        >>> curve = jnp.array([[1.0, 0.5, 0.0]])
        >>> deletion_auc(Erasure(f, curve, curve, curve[:, 0]))
        Array([0.5], dtype=float32)
    """
    return _area(erasure.deleted, erasure.fractions)


@renamed_arguments(found="erasure")
def insertion_auc(erasure: Erasure) -> Float[Array, " n"]:
    """Return the area under the curve as keys are added; higher for a map that ranks well.

    Example:
        >>> f = jnp.array([0.0, 0.5, 1.0])
        >>> curve = jnp.array([[0.0, 1.0, 1.0]])
        >>> insertion_auc(Erasure(f, curve, curve, curve[:, 2]))
        Array([0.75], dtype=float32)
    """
    return _area(erasure.inserted, erasure.fractions)


@renamed_arguments(found="erasure")
def comprehensiveness(
    erasure: Erasure, bins: tuple[float, ...] = ERASER_BINS
) -> Float[Array, " n"]:
    """Return how much the target's probability falls without the top keys, averaged over bins.

    Args:
        erasure: The probabilities; its fractions must include the bins.
        bins: The shares of keys.

    Returns:
        The fall, higher for a map that ranks well.

    Raises:
        ValueError: If a bin is not among the fractions.

    Example:
        >>> f, p = jnp.array([0.0, 0.5]), jnp.array([[0.75, 0.25]])
        >>> comprehensiveness(Erasure(f, p, p, p[:, 0]), bins=(0.5,))
        Array([0.5], dtype=float32)
    """
    return erasure.full - erasure.deleted[:, _columns(erasure, bins)].mean(-1)


@renamed_arguments(found="erasure")
def sufficiency(erasure: Erasure, bins: tuple[float, ...] = ERASER_BINS) -> Float[Array, " n"]:
    """Return how much the target's probability falls with the top keys alone, averaged over bins.

    Args:
        erasure: The probabilities; its fractions must include the bins.
        bins: The shares of keys.

    Returns:
        The fall, lower for a map that ranks well.

    Raises:
        ValueError: If a bin is not among the fractions.

    Example:
        >>> f, p = jnp.array([0.0, 0.5]), jnp.array([[0.25, 0.5]])
        >>> sufficiency(Erasure(f, p, p, jnp.array([0.75])), bins=(0.5,))
        Array([0.25], dtype=float32)
    """
    return erasure.full - erasure.inserted[:, _columns(erasure, bins)].mean(-1)


def _area(curve: Array, fractions: Array) -> Array:
    return (curve[:, 1:] + curve[:, :-1]) @ jnp.diff(fractions) / 2


def _columns(erasure: Erasure, bins: tuple[float, ...]) -> Array:
    """Return which fractions the bins are."""
    distance = jnp.abs(erasure.fractions[None] - jnp.array(bins)[:, None])
    if not isinstance(distance, Tracer) and float(distance.min(-1).max()) > 1e-6:
        raise ValueError(
            f"bins={bins} must be among the fractions, {erasure.fractions.tolist()}; pass "
            "fractions=... with these bins to erase."
        )
    return distance.argmin(-1)

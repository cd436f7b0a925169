"""Controls by chance: a model with shuffled parameters, and rankings with shuffled keys."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import eval_jaxpr
from jax.extend import core
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from attn_jax.hooks.freed import map_freed
from attn_jax.measure.agreement import kendall_tau
from attn_jax.measure.keywords import rng_by_keyword
from attn_jax.measure.reweigh import Model


@rng_by_keyword
def randomized(fn: Model, inputs: Any, *, rng: PRNGKeyArray) -> Model:
    """Return the model with the entries of each learned array in random order.

    A map that hardly changes with it does not show what the model has learned. Learned arrays are
    the floating-point arrays with two axes or more that the function closes over, also inside
    jitted calls; their values stay the same as a set, and so do biases and scales. One that is used
    twice is shuffled alike.

    Args:
        fn: The model. Data that it closes over would be shuffled too; pass it as an input.
        inputs: A batch of its inputs.
        rng: Random key for the orders.

    Returns:
        A function of inputs of these shapes, with the model's hook points.

    Raises:
        ValueError: If the model closes over no such array.

    Example:
        >>> kernel = jnp.array([[1.0, 2.0], [3.0, 4.0]])
        >>> fn = randomized(lambda x: x @ kernel, jnp.ones((1, 2)), rng=jax.random.key(0))
        >>> float(fn(jnp.ones((1, 2))).sum())
        10.0

    References:
        J. Adebayo et al., "Sanity Checks for Saliency Maps", 2018,
        https://arxiv.org/abs/1810.03292.
    """
    closed, shapes = jax.make_jaxpr(fn, return_shape=True)(inputs)
    learned = {id(x): x for x in _constants(closed) if _is_learned(x)}
    if not learned:
        raise ValueError(
            "the model closes over no floating-point array with two axes or more, so it has no "
            "learned arrays to shuffle; close over them, as "
            "functools.partial(model.apply, variables) does, and pass only inputs."
        )
    rngs = jax.random.split(rng, len(learned))
    shuffled = {
        name: jax.random.permutation(rng, x.reshape(-1)).reshape(x.shape)
        for rng, (name, x) in zip(rngs, learned.items(), strict=True)
    }
    changed = _replace(closed, shuffled)

    def run(inputs: Any) -> Any:
        outs = eval_jaxpr(changed.jaxpr, changed.consts, *jax.tree.leaves(inputs))
        return jax.tree.unflatten(jax.tree.structure(shapes), outs)

    return run


class RankingAgreement(NamedTuple):
    """The rank correlation of two maps, and what it is by chance.

    Attributes:
        tau: Kendall's correlation, (n,); NaN where all keys of one map are tied.
        chance: The correlation that 2.5 % of random orders exceed, (n,).
        p_value: The share of random orders that agree as well, (n,); 1 where there is no number.
    """

    tau: Float[Array, " n"]
    chance: Float[Array, " n"]
    p_value: Float[Array, " n"]


@rng_by_keyword
def ranking_agreement(
    first: Float[Array, "n k"],
    second: Float[Array, "n k"],
    mask: Bool[Array, "n k"],
    *,
    rng: PRNGKeyArray,
    draws: int = 200,
) -> RankingAgreement:
    """Return the rank correlation of two maps beside that of the first with its keys shuffled.

    With few keys, or many ties, a high correlation is likely by chance: two orders of three keys
    agree in one case of six.

    Args:
        first: A number for each key.
        second: Another number for each key.
        mask: True for the keys that exist; only these are compared and shuffled.
        rng: Random key for the orders.
        draws: The number of random orders; the observed one counts as one more.

    Returns:
        The correlation, its chance level and its one-sided p-value, for each example.

    Example:
        >>> maps = jnp.arange(7.0)[None]
        >>> mask = jnp.ones((1, 7), bool)
        >>> agreement = ranking_agreement(maps, maps, mask, rng=jax.random.key(0))
        >>> float(agreement.tau[0]), bool(agreement.p_value[0] < 0.05)
        (1.0, True)
    """

    def shuffled(rng: Array) -> Array:
        noise = jnp.where(mask, jax.random.uniform(rng, mask.shape), 2.0)
        order = jnp.argsort(noise, axis=-1)
        places = jnp.argsort(jnp.where(mask, 0.0, 2.0), axis=-1, stable=True)
        drawn = jnp.take_along_axis(first, order, -1)
        return kendall_tau(
            jnp.put_along_axis(first, places, drawn, -1, inplace=False), second, mask
        )

    tau = kendall_tau(first, second, mask)
    others = map_freed(shuffled, jax.random.split(rng, draws))
    # Equal correlations may differ by rounding; a comparison with NaN is no agreement.
    as_good = (others >= tau[None] - 1e-6).sum(0)
    p_value = jnp.where(jnp.isnan(tau), 1.0, (1 + as_good) / (draws + 1))
    return RankingAgreement(tau, jnp.quantile(others, 0.975, axis=0), p_value)


def _is_learned(x: Any) -> bool:
    return jnp.ndim(x) >= 2 and jnp.issubdtype(jnp.result_type(x), jnp.floating)


def _inner(value: Any) -> list[Any]:
    """Return the jaxprs that a parameter of an equation holds."""
    values = value if isinstance(value, tuple | list) else [value]
    return [x for x in values if isinstance(x, core.ClosedJaxpr | core.Jaxpr)]


def _constants(jaxpr: core.ClosedJaxpr | core.Jaxpr) -> Iterator[Any]:
    """Iterate over the arrays that a function and its inner calls close over."""
    if isinstance(jaxpr, core.ClosedJaxpr):
        yield from jaxpr.consts
    for eqn in jaxpr.eqns:
        for value in eqn.params.values():
            for inner in _inner(value):
                yield from _constants(inner)


def _replace(jaxpr: Any, shuffled: dict[int, Array]) -> Any:
    """Replace arrays that a function and its inner calls close over, by identity."""
    if isinstance(jaxpr, core.ClosedJaxpr):
        consts = [shuffled.get(id(x), x) for x in jaxpr.consts]
        return core.ClosedJaxpr(_replace(jaxpr.jaxpr, shuffled), consts)
    if isinstance(jaxpr, tuple | list):
        return type(jaxpr)(_replace(x, shuffled) for x in jaxpr)
    if not isinstance(jaxpr, core.Jaxpr):
        return jaxpr
    return jaxpr.replace(
        eqns=[
            eqn.replace(
                params={
                    name: _replace(value, shuffled) if _inner(value) else value
                    for name, value in eqn.params.items()
                }
            )
            for eqn in jaxpr.eqns
        ]
    )

"""The effect of queries and keys on attention, computed and not estimated (AtP*)."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from attn_jax.circuits.sites import Model, Place
from attn_jax.hooks import HookError, capture, intervene, patch
from attn_jax.hooks.hoist import map_hoisted

Gradients = Callable[[Sequence[str]], dict[str, Array]]
"""Returns the gradients of a metric by the values of some hook points."""


def exact_effects(
    fn: Model, places: Sequence[Place], base: Any, donor: Any, gradients: Sequence[Gradients]
) -> Iterator[list[Array]]:
    """Yield, for each model with gradients of its own, the effects of queries and keys.

    The weights are computed with the queries, or with the key at one position, of the other run;
    what they change further on is estimated by the gradient.

    Args:
        fn: The model.
        places: The hook points, all of them `query` or `key`.
        base: The inputs of the run that is patched.
        donor: The inputs of the other run.
        gradients: Return the gradients of the metric at some hook points.

    Yields:
        For each place the effects `(s, n, tokens, heads, 1)`, step by step of the scans around it.

    Raises:
        HookError: If a place is neither, or has no weights beside it.
    """
    for place in places:
        if place.point.name.rpartition(".")[2] not in ("query", "key"):
            raise HookError(
                f"exact_softmax is for hook points 'query' and 'key', and {place.point.name!r} is "
                "neither; choose points=('*.query', '*.key')."
            )
    names = [place.point.name for place in places]
    _, values = capture(fn, names)(donor)
    weights = list(dict.fromkeys(map(_weights_beside, names)))
    for gradients_of in gradients:
        slopes = gradients_of(weights)
        yield [_by_step(fn, base, place, values, slopes) for place in places]


def _by_step(
    fn: Model, base: Any, place: Place, values: dict[str, Array], slopes: dict[str, Array]
) -> Float[Array, "s n t g 1"]:
    name = place.point.name
    new, slope = values[name], slopes[_weights_beside(name)]
    pairs = zip(place.names, map(tuple, place.steps), strict=True)
    return jnp.stack([_effects(fn, base, own, new[step], slope[step]) for own, step in pairs])


def _effects(
    fn: Model, base: Any, name: str, new: Array, slope: Float[Array, "n h q k"]
) -> Float[Array, "n t g 1"]:
    """Return the effects of the queries or keys at one hook point, of each position and head."""
    weights = _weights_beside(name)
    _, before = capture(fn, weights)(base)

    def changed(position: Array | None) -> Array:
        edited = intervene(fn, {name: patch(new, positions=position)})
        return (capture(edited, weights)(base)[1][weights] - before[weights]) * slope

    if name.endswith(".query"):
        return jnp.moveaxis(changed(None).sum(-1), -1, -2)[..., None]
    tokens, heads = new.shape[-3:-1]
    effects = map_hoisted(lambda position: changed(position).sum((-2, -1)), jnp.arange(tokens))
    # Several query heads may share a key head.
    return (
        effects.reshape(tokens, -1, heads, effects.shape[-1] // heads)
        .sum(-1)
        .swapaxes(0, 1)[..., None]
    )


def _weights_beside(name: str) -> str:
    return f"{name.rpartition('.')[0]}.weights"

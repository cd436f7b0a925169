"""Attribution patching: activation patching to first order, in two runs and one gradient."""

import functools
import re
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from attn_jax.circuits.atp_star import Gradients, exact_effects
from attn_jax.circuits.checks import check_same_shapes, scored
from attn_jax.circuits.metrics import KeyMask
from attn_jax.circuits.parts import Parts, Role
from attn_jax.circuits.patching import Direction, check_direction
from attn_jax.circuits.scores import Scores
from attn_jax.circuits.sites import (
    Metric,
    Model,
    Pattern,
    Place,
    find_places,
    join_layers,
    names_of,
)
from attn_jax.hooks import activation_grads, capture, intervene
from attn_jax.hooks.freed import run_freed


def attribution_patching(
    fn: Model,
    clean: Any,
    corrupted: Any,
    metric: Metric,
    *,
    points: Pattern = "*.residual",
    over: Sequence[Role] = ("position",),
    direction: Direction = "denoising",
    positions: Sequence[int] | None = None,
    key_mask: KeyMask | None = None,
    exact_softmax: bool = False,
    drop: Pattern | None = None,
) -> Scores:
    r"""Estimate the effect of activation patching: :math:`(a' - a) \cdot \partial m/\partial a`.

    It takes one run of each input and one gradient, however many values there are, where
    :func:`activation_patching` takes a run for each.

    Args:
        fn: The model.
        clean: The inputs for which it does what is to be explained.
        corrupted: Inputs of the same shapes for which it does not.
        metric: A function from its output to a scalar.
        points: The hook points.
        over: What is estimated by itself at each, as for :func:`activation_patching`.
        direction: As for :func:`activation_patching`; the gradient is that of the run that is
            patched.
        positions: The positions, all from the first if None; negative ones count from the end of
            each text.
        key_mask: True where a token exists, for pairs of texts of unequal length.
        exact_softmax: Whether the effect of a query or key on its attention weights is computed,
            not estimated, as the softmax is far from linear where it is saturated (AtP* by Kramár).
            It needs hook points `query` or `key` beside `weights`, and costs a run of each layer's
            scores, for keys one at each position.
        drop: The hook points where the gradient is stopped, one layer at a time: the outputs of its
            parts, `("*.attention.output", "*.mlp")`. The result is then the mean size of the
            estimates, so that paths of opposite effect no longer hide each other (AtP*'s gradient
            dropping). It costs a gradient for each layer.

    Returns:
        The estimated change of the metric, with the axis `layer`, then those of `over`.

    Raises:
        HookError: If the model has no such hook points, heads or positions.
        ValueError: If the inputs differ in shape, or the metric is no scalar.

    Example:
        >>> import jax.numpy as jnp
        >>> from attn_jax import hooks
        >>> def fn(x):
        ...     return hooks.tap("layers.0.residual", x)[:, -1] ** 2
        >>> clean, corrupted = jnp.full((1, 2, 1), 1.5), jnp.ones((1, 2, 1))
        >>> attribution_patching(fn, clean, corrupted, jnp.sum).values
        Array([[0., 1.]], dtype=float32)

    References:
        Nanda, "Attribution Patching", 2023; Kramár et al., "AtP*: An efficient and scalable method
        for localizing LLM behaviour to components", 2024, https://arxiv.org/abs/2403.00745.
    """
    check_same_shapes(clean, corrupted)
    check_direction(direction)
    use = "attribution_patching"
    places = find_places(fn, clean, points, use=use)
    parts = Parts(over, positions, key_mask)
    counts = [parts.counts(place) for place in places]
    models = [fn]
    if drop is not None:
        models = [_stopped(fn, names) for names in _layers(find_places(fn, clean, drop, use=use))]
    effects = functools.partial(exact_effects if exact_softmax else _linear_effects, fn, places)

    def estimates(clean: Any, corrupted: Any) -> Array:
        base, donor = (corrupted, clean) if direction == "denoising" else (clean, corrupted)
        gradients = [functools.partial(_gradients, model, metric, base) for model in models]
        runs = [
            [_sums(parts, *each) for each in zip(places, counts, values, strict=True)]
            for values in effects(base, donor, gradients)
        ]
        results = runs[0]
        if drop is not None:
            # The layer that a value lies in hides all of its effect: one of the runs counts zero.
            count = max(1, len(models) - 1)
            results = [jnp.abs(jnp.stack(each)).sum(0) / count for each in zip(*runs, strict=True)]
        return join_layers(results)

    return Scores(run_freed(estimates, clean, corrupted), ("layer", *parts.roles), names_of(places))


def _gradients(fn: Model, metric: Metric, inputs: Any, names: Sequence[str]) -> dict[str, Array]:
    """Return the gradients of the metric by some values."""
    return activation_grads(lambda x: scored(metric, x)(fn), list(names))(inputs)


def _linear_effects(
    fn: Model, places: Sequence[Place], base: Any, donor: Any, gradients: Sequence[Gradients]
) -> Iterator[list[Array]]:
    """Yield, for each model with gradients of its own, differences times gradients."""
    names = [place.point.name for place in places]
    before, after = (capture(fn, names)(inputs)[1] for inputs in (base, donor))
    for gradients_of in gradients:
        slopes = gradients_of(names)
        products = [(after[name] - before[name]) * slopes[name] for name in names]
        yield [_by_step(place, each) for place, each in zip(places, products, strict=True)]


def _by_step(place: Place, values: Array) -> Array:
    """Return captured values with one axis of steps in the place of those of the scans."""
    return jnp.stack([values[tuple(step)] for step in place.steps])


def _sums(
    parts: Parts, place: Place, counts: Sequence[int], effects: Array
) -> Float[Array, "s ..."]:
    """Return the sum of the effects of each part, for each step of the scans around a place."""

    def of_step(effects: Array) -> Array:
        effects = parts.reduced(place.point, effects)

        def of_part(number: Array) -> Array:
            mask = parts.masks(place.point, jnp.unravel_index(number, tuple(counts)))
            return jnp.where(mask, effects, 0).sum()

        return jax.vmap(of_part)(jnp.arange(int(np.prod(counts)))).reshape(counts)

    return jax.vmap(of_step)(effects)


def _stopped(fn: Model, names: Sequence[str]) -> Model:
    """Return the model whose gradient does not pass through some values."""
    return intervene(fn, dict.fromkeys(names, lambda value, site: jax.lax.stop_gradient(value)))


def _layers(places: Sequence[Place]) -> list[list[str]]:
    """Return the names of the hook points, layer by layer: by the part before the first number."""
    layers: dict[str, list[str]] = {}
    for name in (name for place in places for name in place.names):
        layer = re.match(r".*?\d+", name)
        layers.setdefault(layer[0] if layer else name, []).append(name)
    return list(layers.values())

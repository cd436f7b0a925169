"""Gradients with respect to values inside of a function."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from attn_jax.hooks.errors import HookError
from attn_jax.hooks.plan import Edit, Plan, Request, Site, make_plan
from attn_jax.hooks.rules.zeros import zeros_like
from attn_jax.hooks.survey import HookPoint
from attn_jax.hooks.transforms import trace


def activation_grads(
    fn: Callable[..., Array], spec: str | Sequence[str]
) -> Callable[..., dict[str, Array]]:
    """Return a function that differentiates a scalar `fn` with respect to named values in it.

    Args:
        fn: a function that returns a scalar.
        spec: a glob, or several.

    Returns:
        A function with the arguments of `fn` that returns `{name: gradient}`, with the names
        and the shapes that :func:`capture` gives to the values. A value in a branch that was not
        taken has a gradient of zero.

    Raises:
        HookError: if a glob matches nothing, or a value that cannot be differentiated: one that
            is not of a floating type, or lies in a `while` loop or a custom derivative.

    Example:
        >>> from attn_jax.hooks import tap
        >>> def loss(x):
        ...     return jnp.sum(tap("hidden", 2 * x) ** 2)
        >>> activation_grads(loss, "hidden")(jnp.array([1.0, 3.0]))
        {'hidden': Array([ 4., 12.], dtype=float32)}
    """

    @functools.wraps(fn)
    def gradients(*args: Any, **kwargs: Any) -> dict[str, Array]:
        traced = trace(fn, args, kwargs)
        points = {point.name: point for point in traced.block.points()}
        plan = make_plan(points.values(), spec, {})
        for name in plan.requests:
            _check_differentiable(points[name])
        shapes = jax.eval_shape(lambda: traced.run(plan)[1])
        nothing = {k: zeros_like(shape) for k, shape in shapes.items() if not k.endswith("?")}
        return jax.grad(lambda added: traced.run(_adding(plan, added))[0])(nothing)

    return gradients


def _check_differentiable(point: HookPoint) -> None:
    reason = point.frozen
    if not point.is_observation and not jnp.issubdtype(point.dtype, jnp.floating):
        reason = f"it is {point.dtype}, and only floating types have gradients"
    if any(loop.kind == "while" for loop in point.loops):
        reason = "it lies in a while loop, through which JAX has no reverse derivative"
    if reason:
        raise HookError(f"cannot differentiate with respect to {point.name!r}: {reason}.")


def _adding(plan: Plan, added: Mapping[str, Array]) -> Plan:
    """Return the plan that adds to each requested value what stands under its key."""
    edits = {
        name: [Edit(r.key, r.at, functools.partial(_add, added[r.key], r)) for r in requests]
        for name, requests in plan.requests.items()
    }
    return dataclasses.replace(plan, requests={}, edits=edits)


def _add(added: Array, request: Request, value: Array, site: Site) -> Array:
    kept = (step for step, chosen in zip(site.index, request.at, strict=True) if chosen is None)
    return value + added[tuple(kept)]

"""Gradients with respect to values inside a function."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from attn_jax.hooks.patterns import HookError
from attn_jax.hooks.plan import Edit, Plan, Request, Site, make_plan, parse_spec
from attn_jax.hooks.points import HookPoint
from attn_jax.hooks.rules.zeros import zeros_like
from attn_jax.hooks.transforms import trace


def activation_grads(
    fn: Callable[..., Array], spec: str | Sequence[str]
) -> Callable[..., dict[str, Array]]:
    """Return a function that differentiates a scalar `fn` with respect to named values in it.

    Args:
        fn: A function that returns a scalar.
        spec: A glob, or a list of globs.

    Returns:
        A function with the arguments of `fn` that returns `{name: gradient}`, with the names
        and the shapes that :func:`capture` gives to the values. A value in a branch that was not
        taken has a gradient of zero.

    Raises:
        HookError: If the spec is empty, a glob matches nothing, or it matches a value that cannot
            be differentiated: one that is not of a floating type, or lies in a `while` loop or a
            custom derivative.

    Example:
        >>> from attn_jax.hooks import tap
        >>> def loss(x):
        ...     return jnp.sum(tap("hidden", 2 * x) ** 2)
        >>> activation_grads(loss, "hidden")(jnp.array([1.0, 3.0]))
        {'hidden': Array([ 4., 12.], dtype=float32)}
    """
    globs = dict.fromkeys(parse_spec(spec))

    @functools.wraps(fn)
    def gradients(*args: Any, **kwargs: Any) -> dict[str, Array]:
        traced = trace(fn, args, kwargs)
        points = {point.name: point for point in traced.block.points()}
        plan = make_plan(points.values(), globs, {})
        for name in plan.requests:
            _check_differentiable(points[name])
        # The gradient of a value is that of a zero added to it. The zeros are shaped like the
        # captured values, so that each step of a loop has its own.
        shapes = jax.eval_shape(lambda: traced.run(plan)[1])
        zeros = {k: zeros_like(shape) for k, shape in shapes.items() if not k.endswith("?")}
        return jax.grad(lambda addends: traced.run(_adding(plan, addends))[0])(zeros)

    return gradients


def _check_differentiable(point: HookPoint) -> None:
    reason = point.frozen
    if not point.is_observation and not jnp.issubdtype(point.dtype, jnp.floating):
        reason = f"it is {point.dtype}, and only floating types have gradients"
    if any(loop.kind == "while" for loop in point.loops):
        reason = "it lies in a while loop, through which JAX has no reverse derivative"
    if reason:
        raise HookError(f"cannot differentiate with respect to {point.name!r}: {reason}.")


def _adding(plan: Plan, addends: Mapping[str, Array]) -> Plan:
    """Return a plan that adds to each requested value the addend under its key."""
    edits = {
        name: [
            Edit(r.key, r.selection, functools.partial(_add, addends[r.key], r)) for r in requests
        ]
        for name, requests in plan.requests.items()
    }
    return dataclasses.replace(plan, requests={}, edits=edits)


def _add(addends: Array, request: Request, value: Array, site: Site) -> Array:
    # A loop with a selected step has no axis among the addends.
    steps = zip(site.index, request.selection, strict=True)
    return value + addends[tuple(step for step, selected in steps if selected is None)]

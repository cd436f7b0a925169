"""The public transformations: hook_points, capture and intervene."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
from jax.extend import core

from attn_jax.hooks.interpreter import evaluate
from attn_jax.hooks.plan import EditFunction, Plan, Spec, make_plan, parse_spec
from attn_jax.hooks.points import Block, HookPoint
from attn_jax.hooks.survey import survey


@dataclasses.dataclass(frozen=True)
class Traced:
    """A function traced to a jaxpr for certain arguments, with its hook points."""

    jaxpr: core.ClosedJaxpr
    block: Block
    arguments: list[Any]
    result: jax.tree_util.PyTreeDef

    def run(self, plan: Plan) -> tuple[Any, dict[str, Any]]:
        """Evaluate the jaxpr; return the result of the function and the captured values."""
        outs, captured = evaluate(plan, plan.prune(self.block), self.jaxpr, self.arguments)
        return jax.tree.unflatten(self.result, outs), captured


def trace(fn: Callable, args: tuple, kwargs: Mapping[str, Any]) -> Traced:
    """Trace a function. Arguments other than arrays (flags, names, modules) stay as they are."""
    leaves, tree = jax.tree.flatten((args, dict(kwargs)))
    is_array = [hasattr(leaf, "shape") and hasattr(leaf, "dtype") for leaf in leaves]

    def of_arrays(*arrays):
        traced = iter(arrays)
        merged = [next(traced) if a else leaf for a, leaf in zip(is_array, leaves, strict=True)]
        args, kwargs = jax.tree.unflatten(tree, merged)
        return fn(*args, **kwargs)

    arrays = [leaf for a, leaf in zip(is_array, leaves, strict=True) if a]
    jaxpr, shapes = jax.make_jaxpr(of_arrays, return_shape=True)(*arrays)
    return Traced(jaxpr, survey(jaxpr.jaxpr), arrays, jax.tree.structure(shapes))


def hook_points(fn: Callable) -> Callable[..., list[HookPoint]]:
    """Return a function that lists the hook points of `fn`, in the order of the program.

    Args:
        fn: Any function of arrays that JAX can trace.

    Returns:
        A function with the arguments of `fn`. Abstract ones (`jax.ShapeDtypeStruct`) are enough,
        as nothing is computed.

    Example:
        >>> import jax.numpy as jnp
        >>> from attn_jax.hooks import tap
        >>> def layer(x):
        ...     return 2 * tap("hidden", jnp.tanh(x))
        >>> [(point.name, point.shape) for point in hook_points(layer)(jnp.zeros(3))]
        [('hidden', (3,))]
    """

    @functools.wraps(fn)
    def listed(*args, **kwargs):
        return list({p.name: p for p in trace(fn, args, kwargs).block.points()}.values())

    return listed


def capture(fn: Callable, spec: Spec = "*") -> Callable[..., tuple[Any, dict[str, Any]]]:
    """Return a function that computes `fn` and also returns named values from inside it.

    Like `jax.grad` it holds no state and composes with every other transformation. It traces
    `fn` at each call, so wrap it in `jax.jit` if you call it more than once.

    Args:
        fn: Any function of arrays that JAX can trace.
        spec: The hook points to capture: a glob (`"*.weights"`; its `*` crosses dots), a list of
            globs, or a mapping from globs to reducers. A reducer is called with the value at one
            step of each loop around it, before anything is stored; None keeps the value. Where
            several globs match, the first decides.

    Returns:
        A function with the arguments of `fn` that returns `(out, {name: value})`. The axes
        of a value are: loops, the outermost first; then those of `vmap`; then its own. Under
        `shard_map` there is a leading axis of devices. In a `while` loop it is the value of
        the last iteration. In a branch that was not taken it is zeros, and `name?` is False.

    Raises:
        HookError: If the spec is empty, a glob matches nothing, a hook point is out of reach, or
            a reducer fails.

    Example:
        >>> import jax.numpy as jnp
        >>> from attn_jax.hooks import tap
        >>> def layer(x):
        ...     return 2 * tap("hidden", x + 1)
        >>> out, captured = capture(layer)(jnp.zeros(3))
        >>> captured
        {'hidden': Array([1., 1., 1.], dtype=float32)}
    """
    reducers = parse_spec(spec)

    @functools.wraps(fn)
    def capturing(*args, **kwargs):
        traced = trace(fn, args, kwargs)
        return traced.run(make_plan(traced.block.points(), reducers, {}))

    return capturing


def intervene(fn: Callable, edits: Mapping[str, EditFunction]) -> Callable[..., Any]:
    """Return a function that computes `fn` with named values inside it replaced.

    Args:
        fn: Any function of arrays that JAX can trace.
        edits: A mapping from globs to edits, `edit(value, site) -> value`. `site.name` is the
            hook point and `site.index` the current step of each loop around it. Shape and dtype
            must stay the same. Where several globs match, all their edits are applied, in the
            order of the mapping. A glob with the number of a step, as `layers.2.*`, edits only
            that step of a scan. An empty mapping edits nothing.

    Returns:
        A function with the arguments and the result of `fn`.

    Raises:
        HookError: If a glob matches nothing, a hook point is out of reach, or an edit fails or
            changes shape or dtype.

    Example:
        >>> import jax.numpy as jnp
        >>> from attn_jax.hooks import tap
        >>> def layer(x):
        ...     return 2 * tap("hidden", x + 1)
        >>> intervene(layer, {"hidden": lambda value, site: 10 * value})(jnp.zeros(3))
        Array([20., 20., 20.], dtype=float32)
    """

    @functools.wraps(fn)
    def edited(*args, **kwargs):
        traced = trace(fn, args, kwargs)
        return traced.run(make_plan(traced.block.points(), {}, edits))[0]

    return edited

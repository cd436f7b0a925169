"""Edited models: edges of attention cut, and directions added."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool

from attn_jax.circuits.sites import Model, Pattern, as_patterns
from attn_jax.hooks import HookError, Site, intervene, patch
from attn_jax.hooks.patching import Which

Edges = Sequence[tuple[int, int]] | Bool[Array | np.ndarray, "*b q k"]
"""Pairs of a query and a key, negative ones counted from the end; or True for each such edge."""


def attention_knockout(
    fn: Model,
    edges: Edges,
    *,
    renormalize: bool = False,
    layers: Which | None = None,
    heads: Which | None = None,
    attention: Pattern = "*.weights",
) -> Model:
    """Return the model with some edges from queries to keys cut: their weights become zero.

    Args:
        fn: The model.
        edges: Pairs `(query, key)` of positions, negative ones counted from the end; or an array
            `(q, k)`, or one that broadcasts with the weights `(*b, h, q, k)`, True at the edges.
        renormalize: Whether the other weights of a query grow, so that their sum stays what it was.
            A query that keeps no weight gets none.
        layers: The layers in which the edges are cut, all if None.
        heads: The heads in which they are cut, all if None.
        attention: The hook points that hold the weights, `(*b, h, q, k)`.

    Returns:
        A function with the arguments and the result of `fn`, which can be edited further.

    Raises:
        HookError: When it is called, if the model has no such hook points, or no such positions.

    Example:
        >>> import jax.numpy as jnp
        >>> from attn_jax import hooks
        >>> def fn(x):
        ...     return hooks.tap("a.weights", jnp.full((1, 1, 2, 2), 0.5)) @ x
        >>> x = jnp.array([[1.0], [3.0]])
        >>> attention_knockout(fn, [(1, 0)])(x)[0, 0]
        Array([[2. ],
               [1.5]], dtype=float32)
        >>> attention_knockout(fn, [(-1, 0)], renormalize=True)(x)[0, 0]
        Array([[2.],
               [3.]], dtype=float32)

    References:
        Geva et al., "Dissecting Recall of Factual Associations in Auto-Regressive Language Models",
        2023, https://arxiv.org/abs/2304.14767.
    """

    def cut(weights: Array, site: Site) -> Array:
        left = jnp.where(_mask_of(edges, weights.shape, site.name), 0, weights)
        if renormalize:
            sums = left.sum(-1, keepdims=True)
            left = left * weights.sum(-1, keepdims=True) / jnp.where(sums == 0, 1, sums)
        return left.astype(weights.dtype)

    edit = patch(cut, layers=layers, heads=heads)
    return intervene(fn, dict.fromkeys(as_patterns(attention), edit))


def steer(
    fn: Model,
    pattern: Pattern,
    vector: ArrayLike,
    *,
    scale: ArrayLike = 1.0,
    layers: Which | None = None,
    positions: Which | None = None,
    steps: Which | None = None,
) -> Model:
    """Return the model with a vector added at some hook points.

    Args:
        fn: The model.
        pattern: The hook points, of values `(*b, tokens, features)`, such as `layers.5.residual`.
        vector: The vector, `(features,)`, or an array that broadcasts with the values. A difference
            of two captured values is a usual choice.
        scale: What it is multiplied by.
        layers: The layers in which it is added, all that match if None.
        positions: The positions at which it is added, all if None; negative ones count from the
            end.
        steps: The steps of the outermost loop around the hook points at which it is added, all if
            None: those at which a model writes, for example.

    Returns:
        A function with the arguments and the result of `fn`, which can be edited further.

    Raises:
        HookError: When it is called, if the model has no such hook points, positions or loop, or
            the vector does not fit.

    Example:
        >>> import jax.numpy as jnp
        >>> from attn_jax import hooks
        >>> def fn(x):
        ...     return 2 * hooks.tap("residual", x)
        >>> steer(fn, "residual", jnp.array([1.0, 0.0]), positions=-1)(jnp.zeros((2, 2)))
        Array([[0., 0.],
               [2., 0.]], dtype=float32)

    References:
        Turner et al., "Activation Addition", 2023, https://arxiv.org/abs/2308.10248.
    """

    def add(value: Array, site: Site) -> Array:
        if not _fits(jnp.shape(vector), value.shape):
            raise HookError(
                f"a vector of shape {list(jnp.shape(vector))} cannot be added to {site.name!r}, of "
                f"shape {list(value.shape)}."
            )
        new = value + (scale * jnp.asarray(vector)).astype(value.dtype).reshape(
            (1,) * (value.ndim - jnp.ndim(vector)) + jnp.shape(vector)
        )
        return new if steps is None else jnp.where(_is_step(steps, site), new, value)

    edit = patch(add, layers=layers, positions=positions, position_axis=-2)
    return intervene(fn, dict.fromkeys(as_patterns(pattern), edit))


def _fits(shape: Sequence[int], target: Sequence[int]) -> bool:
    """Return whether an array of one shape can be broadcast to another."""
    pairs = zip(reversed(shape), reversed(target), strict=False)
    return len(shape) <= len(target) and all(own in (1, size) for own, size in pairs)


def _is_step(steps: Which, site: Site) -> Array:
    if not site.index:
        raise HookError(f"steps={steps}, but there is no loop around {site.name!r}.")
    length = site.point.loops[0].length
    if isinstance(steps, slice):
        if length is None:
            raise HookError(f"steps={steps}: the loop around {site.name!r} has no known length.")
        return jnp.zeros(length, bool).at[steps].set(True)[site.index[0]]
    return jnp.isin(site.index[0], jnp.asarray(steps))


def _mask_of(edges: Edges, shape: Sequence[int], name: str) -> Array:
    """Return a mask of the edges that broadcasts with weights of a shape."""
    if isinstance(edges, np.ndarray | jax.Array):
        mask = jnp.asarray(edges)
        if mask.dtype != bool or not _fits(mask.shape, shape):
            raise HookError(
                f"edges of dtype {mask.dtype} and shape {list(mask.shape)} do not fit the weights "
                f"{name!r}, of shape {list(shape)}: pass booleans (queries, keys)."
            )
        return mask.reshape((1,) * (len(shape) - mask.ndim) + mask.shape)
    mask = np.zeros(shape[-2:], bool)
    for query, key in edges:
        if not (-shape[-2] <= query < shape[-2] and -shape[-1] <= key < shape[-1]):
            raise HookError(
                f"the edge ({query}, {key}) is out of range: {name!r} has {shape[-2]} queries and "
                f"{shape[-1]} keys."
            )
        mask[query, key] = True
    return jnp.asarray(mask).reshape((1,) * (len(shape) - 2) + mask.shape)

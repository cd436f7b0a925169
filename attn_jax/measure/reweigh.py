"""Runs a model with other attention weights: some keys dropped, permuted, shared out, replaced.

A *model* is any function from a batch of inputs to logits `(n, classes)` whose attention weights
`(n, ..., q, k)` have hook points. Loops around them, and the axes between, are treated alike.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

from attn_jax.hooks import Site, capture, intervene

Model = Callable[[Any], Any]
"""From a batch of inputs, any pytree, to logits `(n, classes)`."""

Pattern = str | Sequence[str]
"""A glob of hook points, or several."""

Change = Callable[[Array], Array]
"""From weights `(n, ..., q, k)` to others of the same shape."""


def run_reweighed(fn: Model, attention: Pattern, change: Change) -> Callable[[Any], Array]:
    """Returns the model with its attention weights changed.

    Args:
        fn: The model.
        attention: Which hook points hold its weights.
        change: From weights to weights.

    Returns:
        A function of the model's inputs to the probabilities `(n, classes)` it then gives.

    Example:
        >>> from attn_jax import hooks
        >>> def fn(x):
        ...     return hooks.tap("weights", jax.nn.softmax(x)) @ jnp.array([[5.0, 0.0], [0.0, 5.0]])
        >>> equal = run_reweighed(fn, "weights", lambda w: jnp.full_like(w, 0.5))
        >>> equal(jnp.array([[3.0, 0.0]]))
        Array([[0.5, 0.5]], dtype=float32)
    """
    patterns = [attention] if isinstance(attention, str) else attention

    def edit(weights: Array, site: Site) -> Array:
        return change(weights).astype(weights.dtype)

    edited = intervene(fn, dict.fromkeys(patterns, edit))
    return lambda inputs: jax.nn.softmax(edited(inputs).astype(jnp.float32))


def per_key(values: Shaped[Array, "n k"], like: Shaped[Array, "n ... k"]) -> Array:
    """Gives numbers for keys the axes of weights between the examples and the keys.

    Args:
        values: A number for each key of each example.
        like: The weights.

    Returns:
        `(n, 1, ..., 1, k)`.
    """
    return values.reshape(len(values), *(1,) * (like.ndim - 2), values.shape[-1])


def keep_keys(keep: Bool[Array, "n k"], *, renormalize: bool = True) -> Change:
    """Returns the change that takes the weight of some keys away.

    Args:
        keep: The keys that keep theirs.
        renormalize: Whether what is left of a row is scaled up to the sum that it had. A row of
            which nothing is left is all zero.

    Returns:
        From weights to weights.

    Example:
        >>> keep_keys(jnp.array([[True, False, True]]))(jnp.array([[[0.25, 0.5, 0.25]]]))
        Array([[[0.5, 0. , 0.5]]], dtype=float32)
    """

    def change(weights: Array) -> Array:
        kept = jnp.where(per_key(keep, weights), weights, 0)
        if not renormalize:
            return kept
        left = kept.sum(-1, keepdims=True)
        scale = weights.sum(-1, keepdims=True) / jnp.where(left == 0, 1, left)
        return kept * scale

    return change


def permute_keys(order: Int[Array, "n k"]) -> Change:
    """Returns the change that gives each key the weight of another.

    Args:
        order: Which key's weight each key gets.

    Returns:
        From weights to weights.

    Example:
        >>> permute_keys(jnp.array([[2, 0, 1]]))(jnp.array([[[0.1, 0.2, 0.7]]]))
        Array([[[0.7, 0.1, 0.2]]], dtype=float32)
    """

    def change(weights: Array) -> Array:
        shape = (*weights.shape[:-1], order.shape[-1])
        return jnp.take_along_axis(weights, jnp.broadcast_to(per_key(order, weights), shape), -1)

    return change


def share_out(shares: Float[Array, "n k"]) -> Change:
    """Returns the change that gives each row the same distribution, scaled to the row's sum.

    Args:
        shares: A distribution over the keys of each example.

    Returns:
        From weights to weights.

    Example:
        >>> share_out(jnp.array([[0.5, 0.5]]))(jnp.array([[[0.9, 0.1], [0.0, 0.0]]]))
        Array([[[0.5, 0.5],
                [0. , 0. ]]], dtype=float32)
    """
    return lambda weights: per_key(shares, weights) * weights.sum(-1, keepdims=True)


def equal_shares(mask: Bool[Array, "n k"]) -> Float[Array, "n k"]:
    """The same share for every key that there is.

    Args:
        mask: Which keys there are.

    Returns:
        Rows that sum to one, or are zero where there is no key.

    Example:
        >>> equal_shares(jnp.array([[True, True, False]]))
        Array([[0.5, 0.5, 0. ]], dtype=float32)
    """
    return mask / jnp.maximum(mask.sum(-1, keepdims=True), 1)


def received(
    fn: Model, attention: Pattern, *, query: int | None = None
) -> Callable[[Any], tuple[Array, Float[Array, "n k"]]]:
    """Returns the model with the map that explains it: what each key receives.

    That is the mean over heads and queries, over all hook points that match, and over the layers
    of a scanned stack.

    Args:
        fn: The model.
        attention: Which hook points hold its weights.
        query: One query, by number, in place of the mean of all.

    Returns:
        A function of the model's inputs to its logits and the map `(n, k)`.

    Raises:
        ValueError: If the hook points that match have different numbers of keys.

    Example:
        >>> from attn_jax import hooks
        >>> def fn(x):
        ...     return hooks.tap("weights", jax.nn.softmax(x)).mean(1)
        >>> logits, share = received(fn, "weights")(jnp.zeros((2, 3, 5)))
        >>> share.shape
        (2, 5)
    """
    patterns = [attention] if isinstance(attention, str) else attention

    def reduce(weights: Array) -> Array:
        rows = weights if query is None or weights.ndim < 3 else weights[..., query, :]
        return rows.astype(jnp.float32).mean(tuple(range(1, rows.ndim - 1)))

    def run(inputs: Any) -> tuple[Array, Array]:
        logits, maps = capture(fn, dict.fromkeys(patterns, reduce))(inputs)
        keys = {name: each.shape[-1] for name, each in maps.items()}
        if len(set(keys.values())) > 1:
            raise ValueError(
                f"the maps have different numbers of keys, {keys}; choose those of one size by "
                "attention=[...]."
            )
        return logits, jnp.stack([m.mean(tuple(range(m.ndim - 2))) for m in maps.values()]).mean(0)

    return run

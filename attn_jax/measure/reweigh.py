"""Runs of a model with other attention weights: keys removed, permuted, or set to given weights.

A *model* is any function from a batch of inputs to logits `(n, classes)` whose attention weights
`(n, ..., q, k)` have hook points. A binary classifier may give one logit, `(n, 1)` or `(n,)`, whose
sigmoid is the probability of class 1. Loops around the weights, and the axes between the examples
and the queries, are all treated alike.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

from attn_jax.hooks import Site, capture, intervene
from attn_jax.hooks.plan import EditFunction
from attn_jax.measure.outputs import class_logits
from attn_jax.renames import renamed_arguments

Model = Callable[[Any], Any]
"""A function from a batch of inputs, any pytree, to logits: `(n, classes)`, `(n, 1)` or `(n,)`."""

Pattern = str | Sequence[str]
"""A glob of hook points, or several."""

Change = Callable[[Array], Array]
"""A function from weights `(n, ..., q, k)` to others of the same shape."""

Visible = Callable[[Array], Array]
"""A function from weights `(n, ..., q, k)` to booleans: True where a query may look."""


def masked_keys(mask: Bool[Array, "n k"]) -> Visible:
    """Let every query see every key that exists, whatever its weight.

    Args:
        mask: True for the keys that exist.
    """
    return lambda weights: jnp.broadcast_to(per_key(mask, weights), weights.shape)


def run_reweighed(fn: Model, attention: Pattern, change: Change) -> Callable[[Any], Array]:
    """Return the model with its attention weights changed.

    Args:
        fn: The model.
        attention: The hook points that hold its weights.
        change: A function from weights to weights.

    Returns:
        A function from the model's inputs to the probabilities `(n, classes)` it then gives; two
        classes for a model with one logit.

    Example:
        >>> from attn_jax import hooks
        >>> def fn(x):
        ...     return hooks.tap("weights", jax.nn.softmax(x)) @ jnp.array([[5.0, 0.0], [0.0, 5.0]])
        >>> uniform = run_reweighed(fn, "weights", lambda w: jnp.full_like(w, 0.5))
        >>> uniform(jnp.array([[3.0, 0.0]]))
        Array([[0.5, 0.5]], dtype=float32)
    """
    edited = edit_weights(fn, attention, lambda weights, site: change(weights))
    return lambda inputs: jax.nn.softmax(class_logits(edited(inputs)))


def edit_weights(
    fn: Model, attention: Pattern, change: EditFunction, heads: Sequence[int] | None = None
) -> Model:
    """Return the model with its attention weights changed, with the output that it has.

    Args:
        fn: The model.
        attention: The hook points that hold its weights.
        change: A function from weights and their site to weights.
        heads: The heads whose weights change; all by default.
    """
    patterns = [attention] if isinstance(attention, str) else attention

    def edit(weights: Array, site: Site) -> Array:
        new = change(weights, site).astype(weights.dtype)
        return new if heads is None else jnp.where(_of_heads(heads, weights), new, weights)

    return intervene(fn, dict.fromkeys(patterns, edit))


def _of_heads(heads: Sequence[int], weights: Array) -> Array:
    """Return which heads are chosen, `(1, ..., h, 1, 1)`."""
    chosen = jnp.zeros(weights.shape[-3], bool).at[jnp.array(heads)].set(True)
    return chosen.reshape(*(1,) * (weights.ndim - 3), -1, 1, 1)


def per_key(values: Shaped[Array, "n k"], like: Shaped[Array, "n ... k"]) -> Array:
    """Insert into values for keys the axes that weights have between examples and keys.

    Args:
        values: A number for each key of each example.
        like: The weights.

    Returns:
        The values as `(n, 1, ..., 1, k)`.
    """
    return values.reshape(len(values), *(1,) * (like.ndim - 2), values.shape[-1])


def keep_keys(keep: Bool[Array, "n k"], *, renormalize: bool = True) -> Change:
    """Return the change that sets the weights of all but some keys to zero.

    Args:
        keep: True for the keys that keep their weight.
        renormalize: Whether the remaining weights of a row are scaled up to the sum it had. A row
            with no weight left is all zero.

    Returns:
        A function from weights to weights.

    Example:
        >>> keep_keys(jnp.array([[True, False, True]]))(jnp.array([[[0.25, 0.5, 0.25]]]))
        Array([[[0.5, 0. , 0.5]]], dtype=float32)
    """

    def change(weights: Array) -> Array:
        remaining = jnp.where(per_key(keep, weights), weights, 0)
        if not renormalize:
            return remaining
        total = remaining.sum(-1, keepdims=True)
        return remaining * (weights.sum(-1, keepdims=True) / jnp.where(total == 0, 1, total))

    return change


def permute_keys(order: Int[Array, "n k"]) -> Change:
    """Return the change that gives each key the weight of another.

    Args:
        order: For each key, the index of the key whose weight it gets.

    Returns:
        A function from weights to weights.

    Example:
        >>> permute_keys(jnp.array([[2, 0, 1]]))(jnp.array([[[0.1, 0.2, 0.7]]]))
        Array([[[0.7, 0.1, 0.2]]], dtype=float32)
    """

    def change(weights: Array) -> Array:
        shape = (*weights.shape[:-1], order.shape[-1])
        return jnp.take_along_axis(weights, jnp.broadcast_to(per_key(order, weights), shape), -1)

    return change


def exchange_keys(noise: Float[Array, "n k"], visible: Visible) -> Change:
    """Return the change that lets the keys that a query sees exchange their weights at random.

    Args:
        noise: Random numbers, at most 1; their order among the keys a query sees is the
            permutation.
        visible: Which keys each query sees.

    Returns:
        A function from weights to weights. The weights of hidden keys stay as they are.

    Example:
        >>> exchange_keys(jnp.array([[0.9, 0.1, 0.5]]), lambda weights: weights > 0)(
        ...     jnp.array([[[0.25, 0.75, 0.0]]]))
        Array([[[0.75, 0.25, 0.  ]]], dtype=float32)
    """

    def change(weights: Array) -> Array:
        sees = visible(weights)
        drawn = jnp.where(sees, per_key(noise, weights), 2)
        sources = jnp.argsort(drawn, axis=-1)
        number = jnp.maximum(jnp.cumsum(sees, axis=-1) - 1, 0)
        taken = jnp.take_along_axis(weights, jnp.take_along_axis(sources, number, -1), -1)
        return jnp.where(sees, taken, weights)

    return change


@renamed_arguments(shares="weights")
def set_weights(weights: Float[Array, "n k"], visible: Visible | None = None) -> Change:
    """Return the change that gives every row the same distribution, scaled to the row's sum.

    Args:
        weights: A distribution over the keys of each example.
        visible: Which keys each query sees, all by default. Hidden keys get nothing; a row all of
            whose visible keys would get nothing stays as it is.

    Returns:
        A function from weights to weights.

    Example:
        >>> set_weights(jnp.array([[0.5, 0.5]]))(jnp.array([[[0.9, 0.1], [0.0, 0.0]]]))
        Array([[[0.5, 0.5],
                [0. , 0. ]]], dtype=float32)
    """

    def change(own: Array) -> Array:
        rows = own.sum(-1, keepdims=True)
        if visible is None:
            return per_key(weights, own) * rows
        new = jnp.where(visible(own), per_key(weights, own), 0)
        total = new.sum(-1, keepdims=True)
        return jnp.where(total > 0, new * (rows / jnp.where(total > 0, total, 1)), own)

    return change


def equal_weights(mask: Bool[Array, "n k"]) -> Float[Array, "n k"]:
    """Return the uniform distribution over the keys that exist.

    Args:
        mask: True for the keys that exist.

    Returns:
        Rows that sum to one, or are zero where there is no key.

    Example:
        >>> equal_weights(jnp.array([[True, True, False]]))
        Array([[0.5, 0.5, 0. ]], dtype=float32)
    """
    return mask / jnp.maximum(mask.sum(-1, keepdims=True), 1)


def choose_rows(weights: Array, query: int | None, heads: Sequence[int] | None) -> Array:
    """Return the weights of one query and of some heads, with the axes they had.

    Args:
        weights: `(n, ..., q, k)`.
        query: The query; all if None.
        heads: The heads; all if None.
    """
    rows = weights if query is None or weights.ndim < 3 else weights[..., query, :][..., None, :]
    return rows if heads is None else rows[..., jnp.array(heads), :, :]


def received(
    fn: Model,
    attention: Pattern,
    *,
    query: int | None = None,
    heads: Sequence[int] | None = None,
) -> Callable[[Any], tuple[Array, Float[Array, "n k"]]]:
    """Return the model together with its map: the weight that each key receives.

    The map is the mean over heads and queries, over all matching hook points, and over the layers
    of a scanned stack.

    Args:
        fn: The model.
        attention: The hook points that hold its weights.
        query: The index of one query to use instead of the mean over all.
        heads: The heads to use instead of all.

    Returns:
        A function from the model's inputs to its output and the map `(n, k)`.

    Raises:
        ValueError: If the matching hook points have different numbers of keys.

    Example:
        >>> from attn_jax import hooks
        >>> def fn(x):
        ...     return hooks.tap("weights", jax.nn.softmax(x)).mean(1)
        >>> logits, weights = received(fn, "weights")(jnp.zeros((2, 3, 5)))
        >>> weights.shape
        (2, 5)
    """
    patterns = [attention] if isinstance(attention, str) else attention

    def reduce(weights: Array) -> Array:
        rows = choose_rows(weights, query, heads)
        return rows.astype(jnp.float32).mean(tuple(range(1, rows.ndim - 1)))

    def run(inputs: Any) -> tuple[Array, Array]:
        output, maps = capture(fn, dict.fromkeys(patterns, reduce))(inputs)
        keys = {name: each.shape[-1] for name, each in maps.items()}
        if len(set(keys.values())) > 1:
            raise ValueError(
                f"the maps have different numbers of keys, {keys}; select hook points with the "
                "same number of keys with attention=[...]."
            )
        return output, jnp.stack([m.mean(tuple(range(m.ndim - 2))) for m in maps.values()]).mean(0)

    return run

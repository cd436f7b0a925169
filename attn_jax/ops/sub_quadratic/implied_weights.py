"""Hook points for attentions that never build their weights, and checks of their inputs."""

import dataclasses
from collections.abc import Callable, Hashable, Mapping

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from attn_jax.hooks import tap_derived
from attn_jax.ops.masks import align_to_tokens, causal_mask, combine_masks
from attn_jax.ops.shapes import as_float, check_attention_inputs
from attn_jax.ops.stages import hide_unseen, weigh

Operands = Mapping[str, jax.Array]

_DEPENDENTS = {
    "query": ("weights", "context"),
    "key": ("weights", "context"),
    "value": ("context",),
    "weights": ("context",),
    "context": (),
}


@dataclasses.dataclass(frozen=True)
class ImpliedMap:
    """The hook points of an attention that never builds its weights (a `DerivedTap`).

    Attributes:
        weights: Maps the operands without the value, and the options, to the weights.
        options: Static arguments of `weights`, by name.
    """

    weights: Callable[..., jax.Array]
    options: tuple[tuple[str, Hashable], ...] = ()

    @property
    def leaves(self) -> tuple[str, ...]:
        """Return the names of the hook points, upstream first."""
        return tuple(_DEPENDENTS)

    @property
    def observations(self) -> tuple[str, ...]:
        """Return no names: every leaf can be edited."""
        return ()

    def derive(self, leaf: str, operands: Operands) -> jax.Array:
        """Return a leaf, from the operands or computed from the leaves upstream of it."""
        if leaf in operands:
            return operands[leaf]
        if leaf == "weights":
            inputs = {name: x for name, x in operands.items() if name not in ("value", "context")}
            return self.weights(**inputs, **dict(self.options))
        return weigh(self.derive("weights", operands), operands["value"])

    def rewrite(self, leaf: str, edited: jax.Array, operands: Operands) -> dict[str, jax.Array]:
        """Replace a leaf among the operands, and drop those that depend on the old value."""
        stale = _DEPENDENTS[leaf]
        return {name: x for name, x in operands.items() if name not in stale} | {leaf: edited}

    def rows(self, operands: Operands, start: ArrayLike, size: int) -> dict[str, jax.Array]:
        """Return the operands for `size` queries from `start` on."""
        # A row of the weights may depend on every query, by way of landmarks, so the weights are
        # computed as a whole before they are cut.
        per_query = {name: self.derive(name, operands) for name in ("query", "weights")}
        shared = {name: x for name, x in operands.items() if name not in ("query", "context")}
        return shared | {
            name: lax.dynamic_slice_in_dim(x, start, size, -2) for name, x in per_query.items()
        }

    def visible_pairs(self, operands: Operands) -> jax.Array:
        """Return the pairs that may get weight."""
        query, key_mask = operands["query"], operands.get("key_mask")
        sizes = query.shape[-2], operands["key"].shape[-2]
        causal = causal_mask(*sizes) if dict(self.options).get("causal") else None
        visible = combine_masks(None if key_mask is None else key_mask[..., None, :], causal)
        return jnp.ones((1,) * query.ndim, bool) if visible is None else visible


def observable(
    context: jax.Array,
    weights: Callable[..., jax.Array],
    operands: Mapping[str, jax.Array | None],
    **options: Hashable,
) -> jax.Array:
    """Tap a context, so that `query, key, value, weights, context` are hook points.

    Args:
        context: `(*b, q, e)`.
        weights: The function that computes the weights; called only if a hook needs them.
        operands: `query`, `key`, `value` and the other arrays that `weights` takes, each with all
            batch axes in front, so that `vmap` keeps them aligned.
        **options: Static arguments of `weights`.

    Returns:
        The same context.
    """
    arrays = {name: x for name, x in operands.items() if x is not None}
    return tap_derived(ImpliedMap(weights, tuple(options.items())), context, arrays)


def prepare_tokens(
    query: jax.Array, key: jax.Array, value: jax.Array, key_mask: jax.Array | None
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array | None]:
    """Check the inputs, and set hidden keys and values to zero.

    Args:
        query: `(*b, q, d_q)`.
        key: `(*b, k, d_k)`.
        value: `(*b, k, d_v)`.
        key_mask: `(*b, k)` with ones allowed, or `(k,)`; True = the key exists.

    Returns:
        Query, key and value of a float type, and the mask as `(*b, k)` or None.

    Raises:
        ValueError: If shapes do not fit together.
        TypeError: If the mask is not boolean.
    """
    check_attention_inputs(query, key, value)
    query, key, value = as_float(query, key, value)
    if key_mask is None:
        return query, key, value, None
    key_mask = full_token_mask("key_mask", key_mask, key)
    key, value = hide_unseen(key_mask, key, value)
    return query, key, value, key_mask


def full_token_mask(name: str, mask: jax.Array, tokens: jax.Array) -> jax.Array:
    """Broadcast a mask to the tokens, `(*b, tokens)`.

    Raises:
        ValueError: If it does not fit.
        TypeError: If it is not boolean.
    """
    shape = tokens.shape[:-1]
    return jnp.broadcast_to(align_to_tokens(name, mask, shape), shape)


def safe_divide(numerator: jax.Array, denominator: jax.Array) -> jax.Array:
    """Divide; a denominator of zero gives zero, with zero gradients."""
    is_zero = denominator == 0
    return jnp.where(is_zero, 0, numerator / jnp.where(is_zero, 1, denominator))

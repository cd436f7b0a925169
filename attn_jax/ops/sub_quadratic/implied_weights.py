"""Attentions that never build their map: what they share, and how the map is had all the same."""

import dataclasses
from collections.abc import Callable, Hashable, Mapping

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from attn_jax.hooks import tap_derived
from attn_jax.ops.masks import align_to_tokens
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
    """The hook points of an attention that never builds its map (a `DerivedTap`).

    Attributes:
        weights: From the operands but the value, and the options, to the map.
        options: Static arguments of `weights`, by name.
    """

    weights: Callable[..., jax.Array]
    options: tuple[tuple[str, Hashable], ...] = ()

    @property
    def leaves(self) -> tuple[str, ...]:
        """The names of the hook points, upstream first."""
        return tuple(_DEPENDENTS)

    @property
    def observations(self) -> tuple[str, ...]:
        """None of the leaves."""
        return ()

    def derive(self, leaf: str, operands: Operands) -> jax.Array:
        """Return a leaf: as it is given, or else computed from those upstream of it."""
        if leaf in operands:
            return operands[leaf]
        if leaf == "weights":
            given = {name: x for name, x in operands.items() if name not in ("value", "context")}
            return self.weights(**given, **dict(self.options))
        return weigh(self.derive("weights", operands), operands["value"])

    def rewrite(self, leaf: str, edited: jax.Array, operands: Operands) -> dict[str, jax.Array]:
        """Put an edited leaf among the operands, and drop what depended on the old one."""
        stale = _DEPENDENTS[leaf]
        return {name: x for name, x in operands.items() if name not in stale} | {leaf: edited}

    def rows(self, operands: Operands, start: ArrayLike, size: int) -> dict[str, jax.Array]:
        """Return what is known of `size` queries, from `start` on.

        A row of the map may hang on every query (landmarks do), so the map is made whole first.
        """
        cut = {name: self.derive(name, operands) for name in ("query", "weights")}
        rest = {name: x for name, x in operands.items() if name not in ("query", "context")}
        return rest | {
            name: lax.dynamic_slice_in_dim(x, start, size, -2) for name, x in cut.items()
        }


def observable(
    context: jax.Array,
    weights: Callable[..., jax.Array],
    operands: Mapping[str, jax.Array | None],
    **options: Hashable,
) -> jax.Array:
    """Tap a context, so that `query, key, value, weights, context` are hook points.

    Args:
        context: `(*b, q, e)`.
        weights: The function that gives the map; called only if somebody asks.
        operands: `query`, `key`, `value` and whatever arrays the map follows from besides, each
            with all the batch axes in front, so that `vmap` keeps them aligned.
        **options: Static arguments of `weights`.

    Returns:
        The same context.
    """
    given = {name: x for name, x in operands.items() if x is not None}
    return tap_derived(ImpliedMap(weights, tuple(options.items())), context, given)


def prepare_tokens(
    query: jax.Array, key: jax.Array, value: jax.Array, key_mask: jax.Array | None
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array | None]:
    """Check the inputs, and put zeros where the mask of the keys hides.

    Args:
        query: `(*b, q, d_q)`.
        key: `(*b, k, d_k)`.
        value: `(*b, k, d_v)`.
        key_mask: Boolean, `(*b, k)` with ones allowed, or `(k,)`.

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
    """Divide; by zero gives zero, with zero gradients."""
    is_zero = denominator == 0
    return jnp.where(is_zero, 0, numerator / jnp.where(is_zero, 1, denominator))

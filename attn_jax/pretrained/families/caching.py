"""Attention that keeps keys and values, for models that write one token after another.

A model with such attention offers `empty_cache(batch, length)`, the collection `cache` before its
first call. That call is the one without a cache, and fills it; each later call, of one or more
tokens, goes on where the text of each row ends:

    logits, state = model.apply({**variables, "cache": empty}, tokens, mutable=["cache"])
    logits, state = model.apply({**variables, **state}, next_tokens, mutable=["cache"])

The module's path in the collection is that of its parameters.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Float, Int

from attn_jax import ops
from attn_jax.pretrained.families.parts import HeadAttention


def empty_self_attention(batch: int, length: int, heads: int, head_dim: int) -> dict[str, Array]:
    """Return the empty cache of a :class:`CachedAttention`, with room for a number of tokens."""
    room = jnp.zeros((batch, length, heads, head_dim))
    return {"key": room, "value": room}


def empty_cross_attention(batch: int, heads: int, head_dim: int) -> dict[str, Array]:
    """Return the empty cache of a :class:`CachedCrossAttention`."""
    return empty_self_attention(batch, 0, heads, head_dim)


def empty_positions(batch: int) -> dict[str, Array]:
    """Return the empty cache of a module that calls :func:`token_positions`."""
    return {"length": jnp.zeros(batch, jnp.int32)}


def token_positions(module: nn.Module, tokens: int) -> Int[Array, "*b t"]:
    """Return the positions of the tokens of a call, and count them in the cache, if there is one.

    Args:
        module: The module that adds the positions; its cache is that of `empty_positions`.
        tokens: The number of tokens in each row.

    Returns:
        `(tokens,)`, or `(batch, tokens)` where there is a cache.
    """
    positions = jnp.arange(tokens)
    if not module.has_variable("cache", "length"):
        return positions
    length = module.get_variable("cache", "length")
    module.put_variable("cache", "length", length + tokens)
    return length[:, None] + positions[None]


def set_lengths(cache: Any, lengths: Int[Array, " b"]) -> Any:
    """Return a cache in which each row holds so many tokens; later calls overwrite the rest."""

    def replace(path: tuple[Any, ...], value: Array) -> Array:
        is_length = path[-1].key == "length"  # which scanned layers stack
        return jnp.broadcast_to(lengths, value.shape) if is_length else value

    return jax.tree.map_with_path(replace, cache)


class CachedAttention(HeadAttention):
    """Self-attention that keeps the keys and values of its tokens from one call to the next.

    Its cache is that of :func:`empty_self_attention`. The keys of a later call are all for which
    there is room, `(batch, length, h, d)`; those after a query's own are hidden. Without a cache
    this is :class:`HeadAttention`.
    """

    @property
    def start(self) -> Int[Array, " b"] | None:
        """The position of the first query in each row, in a later call; None otherwise."""
        if not self.has_variable("cache", "length"):
            return None
        return self.get_variable("cache", "length")

    def project(self, inputs: ops.Inputs) -> ops.Inputs:
        """Project the tokens to heads, beside the keys and values in the cache, if there is one."""
        heads = super().project(inputs)
        if not self.has_variable("cache", "key"):
            return heads
        kept = {name: self._keep(name, getattr(heads, name)) for name in ("key", "value")}
        # The first call attends to its own tokens, as there are no others.
        return heads if self.start is None else heads._replace(**kept)

    def place(
        self, query: Float[Array, "*b q h d"], key: Float[Array, "*b k h_k d"]
    ) -> tuple[Float[Array, "*b q h d"], Float[Array, "*b k h_k d"]]:
        """Transform query and key at the positions where they stand."""
        if self.transform is None or self.start is None:
            return super().place(query, key)
        positions = self.start[:, None] + jnp.arange(query.shape[-3])[None]
        transform: Any = self.transform
        return transform(query, key, positions=positions)

    def structure(self, heads: ops.Inputs) -> dict[str, Any]:
        """Return what the fused call is to know, with the position of the first query."""
        structure = super().structure(heads)
        return structure if self.start is None else structure | {"query_offset": self.start}

    def attend_heads(
        self, heads: ops.Inputs, *, is_self: bool, deterministic: bool
    ) -> Float[Array, "*b q h e"]:
        """Attend, and count the tokens in the cache."""
        context = super().attend_heads(heads, is_self=is_self, deterministic=deterministic)
        if self.has_variable("cache", "key"):
            batch, tokens = heads.query.shape[:2]
            start = jnp.zeros(batch, jnp.int32) if self.start is None else self.start
            self.put_variable("cache", "length", start + tokens)
        return context

    def _keep(self, name: str, new: Array) -> Array:
        """Put keys or values into the cache, and return all that it has room for."""
        old = self.get_variable("cache", name)
        if self.start is None:
            kept = jax.lax.dynamic_update_slice_in_dim(old, new, 0, axis=1)
        else:
            insert = functools.partial(jax.lax.dynamic_update_slice_in_dim, axis=0)
            kept = jax.vmap(insert)(old, new, self.start)
        self.put_variable("cache", name, kept)
        return kept


class CachedCrossAttention(HeadAttention):
    """Attention to the states of an encoder, whose keys and values are computed once.

    Its cache is that of :func:`empty_cross_attention`. The first call keeps the keys and values
    there; later calls use them, whatever states they are given. Without a cache this is
    :class:`HeadAttention`.
    """

    def project(self, inputs: ops.Inputs) -> ops.Inputs:
        """Project the tokens to heads, and the states too if that was not done before."""
        is_cached = self.has_variable("cache", "key")
        if is_cached and self.get_variable("cache", "key").shape[1]:
            kept = {name: self.get_variable("cache", name) for name in ("key", "value")}
            shape = self.head_shapes(inputs.query.shape[-1])["query"]
            query = self.dense(shape, inputs.query, name="query")(inputs.query)
            query, _ = self.place(query, kept["key"])
            return inputs._replace(query=query, **kept)
        heads = super().project(inputs)
        if is_cached:
            self.put_variable("cache", "key", heads.key)
            self.put_variable("cache", "value", heads.value)
        return heads

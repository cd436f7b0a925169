"""Attention whose weights are inner products of features, computed without the weights."""

import jax
import jax.numpy as jnp

from attn_jax.ops.sub_quadratic.implied_weights import safe_divide

BLOCK = 128


def check_causal(causal: bool, query: jax.Array, key: jax.Array) -> None:
    """Check that causal attention has as many queries as keys.

    Raises:
        ValueError: If they differ in number.
    """
    if causal and query.shape[-2] != key.shape[-2]:
        raise ValueError(
            f"causal=True needs as many queries as keys, but there are {query.shape[-2]} queries "
            f"and {key.shape[-2]} keys."
        )


def feature_context(
    query_features: jax.Array, key_features: jax.Array, value: jax.Array, *, causal: bool
) -> jax.Array:
    """Average the values, weighted by the inner products of features.

    Args:
        query_features: `(*b, q, m)`, not negative.
        key_features: `(*b, k, m)`; zeros hide a key.
        value: `(*b, k, e)`.
        causal: Let each query see only the keys up to its own position.

    Returns:
        `(*b, q, e)`, in the values' type.
    """
    # The column of ones yields the denominators in the same pass as the numerators.
    values = jnp.concatenate([value, jnp.ones_like(value[..., :1])], axis=-1)
    values = values.astype(key_features.dtype)
    sums = _causal_sums if causal else _sums
    totals = sums(query_features, key_features, values)
    return safe_divide(totals[..., :-1], totals[..., -1:]).astype(value.dtype)


def feature_weights(
    query_features: jax.Array, key_features: jax.Array, *, causal: bool
) -> jax.Array:
    """Return the weights that :func:`feature_context` never builds, `(*b, q, k)`."""
    products = jnp.einsum("...qm,...km->...qk", query_features, key_features)
    products = jnp.tril(products) if causal else products
    return safe_divide(products, products.sum(axis=-1, keepdims=True))


def _sums(query: jax.Array, key: jax.Array, values: jax.Array) -> jax.Array:
    # Products with the values come first: m by e numbers, however many keys there are.
    return query @ jnp.einsum("...km,...ke->...me", key, values)


def _causal_sums(query: jax.Array, key: jax.Array, values: jax.Array) -> jax.Array:
    """Sum over the keys up to each query."""
    num_tokens = query.shape[-2]
    size = min(BLOCK, max(num_tokens, 1))
    query, key, values = (_in_blocks(x, size) for x in (query, key, values))
    # All blocks before a query's own are visible as a whole, so one running sum serves the block.
    block_sums = jnp.einsum("...km,...ke->...me", key, values)
    before = _shifted(jnp.cumsum(block_sums, axis=-3))
    # Within its own block each query sees another part, which takes a small triangular map.
    inside = jnp.tril(jnp.einsum("...qm,...km->...qk", query, key)) @ values
    totals = inside + query @ before
    return totals.reshape(*totals.shape[:-3], -1, totals.shape[-1])[..., :num_tokens, :]


def _shifted(sums: jax.Array) -> jax.Array:
    """Give each block the sum of the blocks before it."""
    # Shifted, not subtracted: a block minus itself would leave its rounding errors, or a NaN.
    padding = [(0, 0)] * (sums.ndim - 3) + [(1, 0), (0, 0), (0, 0)]
    return jnp.pad(sums, padding)[..., :-1, :, :]


def _in_blocks(x: jax.Array, size: int) -> jax.Array:
    """Split tokens into blocks, `(*b, n, size, d)`, with zeros at the end of the last."""
    blocks = -(-x.shape[-2] // size)
    padding = [(0, 0)] * (x.ndim - 2) + [(0, blocks * size - x.shape[-2]), (0, 0)]
    return jnp.pad(x, padding).reshape(*x.shape[:-2], blocks, size, x.shape[-1])

"""Attention as an inner product of features, which need not be multiplied out to be summed."""

import jax
import jax.numpy as jnp

from attn_jax.ops.sub_quadratic.implied_weights import safe_divide

BLOCK = 128


def check_causal(causal: bool, query: jax.Array, key: jax.Array) -> None:
    """Refuse causality where queries and keys are not the same tokens.

    Raises:
        ValueError: If they differ in number.
    """
    if causal and query.shape[-2] != key.shape[-2]:
        raise ValueError(
            f"causal=True needs as many queries as keys; there are {query.shape[-2]} queries and "
            f"{key.shape[-2]} keys."
        )


def feature_context(
    query_features: jax.Array, key_features: jax.Array, value: jax.Array, *, causal: bool
) -> jax.Array:
    """Sum the values, each times its share of the features' inner products.

    Args:
        query_features: `(*b, q, m)`, not negative.
        key_features: `(*b, k, m)`; zeros hide a key.
        value: `(*b, k, e)`.
        causal: Let each query see only the keys up to its own position.

    Returns:
        `(*b, q, e)`, in the values' type.
    """
    # A column of ones among the values sums the denominators along with the numerators.
    values = jnp.concatenate([value, jnp.ones_like(value[..., :1])], axis=-1)
    values = values.astype(key_features.dtype)
    sums = _causal_sums if causal else _sums
    summed = sums(query_features, key_features, values)
    return safe_divide(summed[..., :-1], summed[..., -1:]).astype(value.dtype)


def feature_weights(
    query_features: jax.Array, key_features: jax.Array, *, causal: bool
) -> jax.Array:
    """The map that :func:`feature_context` never builds, `(*b, q, k)`."""
    products = jnp.einsum("...qm,...km->...qk", query_features, key_features)
    products = jnp.tril(products) if causal else products
    return safe_divide(products, products.sum(axis=-1, keepdims=True))


def _sums(query: jax.Array, key: jax.Array, values: jax.Array) -> jax.Array:
    return query @ jnp.einsum("...km,...ke->...me", key, values)


def _causal_sums(query: jax.Array, key: jax.Array, values: jax.Array) -> jax.Array:
    """Sum over the keys up to each query: whole blocks before its own, and its own by a map."""
    num_tokens = query.shape[-2]
    size = min(BLOCK, max(num_tokens, 1))
    query, key, values = (_in_blocks(x, size) for x in (query, key, values))
    of_blocks = jnp.einsum("...km,...ke->...me", key, values)
    before = _shifted(jnp.cumsum(of_blocks, axis=-3))
    inside = jnp.tril(jnp.einsum("...qm,...km->...qk", query, key)) @ values
    summed = inside + query @ before
    return summed.reshape(*summed.shape[:-3], -1, summed.shape[-1])[..., :num_tokens, :]


def _shifted(sums: jax.Array) -> jax.Array:
    """Give each block the sums of those before it; subtracting its own would let it leak in."""
    padding = [(0, 0)] * (sums.ndim - 3) + [(1, 0), (0, 0), (0, 0)]
    return jnp.pad(sums, padding)[..., :-1, :, :]


def _in_blocks(x: jax.Array, size: int) -> jax.Array:
    """Cut tokens into blocks, `(*b, n, size, d)`, the last filled up with zeros."""
    blocks = -(-x.shape[-2] // size)
    padding = [(0, 0)] * (x.ndim - 2) + [(0, blocks * size - x.shape[-2]), (0, 0)]
    return jnp.pad(x, padding).reshape(*x.shape[:-2], blocks, size, x.shape[-1])

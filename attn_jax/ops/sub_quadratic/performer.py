"""Performer (Choromanski 2021): softmax attention by positive random features (FAVOR+)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Real

from attn_jax.ops.shapes import check_axes, check_features
from attn_jax.ops.sub_quadratic.feature_maps import check_causal, feature_context, feature_weights
from attn_jax.ops.sub_quadratic.implied_weights import observable, prepare_tokens
from attn_jax.renames import renamed_arguments


def performer_projection(dim: int, num_features: int, *, rng: PRNGKeyArray) -> Float[Array, "d m"]:
    r"""Draw the random directions :math:`\omega`, orthogonal in blocks of d.

    Each is distributed as :math:`\mathcal{N}(0, I_d)`, so the estimate is unbiased; their
    orthogonality lowers its variance.

    Args:
        dim: d, the features of queries and keys.
        num_features: m. The error of the estimate decreases with its root.
        rng: The source of randomness.

    Returns:
        The directions, one per column.

    Raises:
        ValueError: If a size is below one.

    Example:
        >>> performer_projection(4, 6, rng=jax.random.key(0)).shape
        (4, 6)
    """
    if num_features < 1 or dim < 1:
        raise ValueError(f"num_features={num_features} and dim={dim} must be at least 1.")
    rng_direction, rng_length = jax.random.split(rng)
    blocks = -(-num_features // dim)
    directions = jax.random.orthogonal(rng_direction, dim, (blocks,))
    lengths = jnp.linalg.norm(jax.random.normal(rng_length, (blocks, dim, dim)), axis=-1)
    # Orthogonal directions have length one; Gaussian ones do not, so their lengths are drawn apart.
    columns = directions * lengths[:, None, :]
    return jnp.moveaxis(columns, 0, 1).reshape(dim, -1)[:, :num_features]


@renamed_arguments(mask="key_mask")
def performer_attention(
    query: Real[Array, "*b q d"],
    key: Real[Array, "*b k d"],
    value: Real[Array, "*b k e"],
    *,
    projection: Real[Array, "d m"],
    key_mask: Bool[Array, "..."] | None = None,
    causal: bool = False,
) -> Float[Array, "*b q e"]:
    r"""Estimate scaled dot-product attention in time and memory linear in the number of tokens.

    .. math:: \phi(x)_r = \exp\!\big(\omega_r \cdot \tilde x - \tfrac12 \|\tilde x\|^2\big)
              / \sqrt{m}, \quad \tilde x = x / \sqrt[4]{d}, \qquad
              c_i = \frac{\phi(q_i)^\top \sum_j \phi(k_j) v_j^\top}
                         {\phi(q_i)^\top \sum_j \phi(k_j)}

    The inner product of two such features is :math:`\exp(q \cdot k / \sqrt{d})` on average over
    :math:`\omega`. It has the hook points `query, key, value, weights, context`; the weights are
    computed only if they are captured or edited.

    Args:
        query: `(*b, q, d)`; heads are a batch axis.
        key: `(*b, k, d)`.
        value: `(*b, k, e)`.
        projection: :math:`\omega`, one per column, drawn by :func:`performer_projection`.
        key_mask: `(*b, k)`; True = the key exists.
        causal: Let each query see only the keys up to its own position.

    Returns:
        The context alone; :func:`performer_weights` returns the weights.

    Raises:
        ValueError: If shapes do not fit together.
        TypeError: If a mask is not boolean.

    Example:
        >>> x = jnp.ones((5, 3))
        >>> projection = performer_projection(3, 7, rng=jax.random.key(0))
        >>> performer_attention(x, x, x, projection=projection).round(5)[0].tolist()
        [1.0, 1.0, 1.0]

    References:
        Choromanski et al., "Rethinking Attention with Performers", 2021, lemma 1 and section 2.4.
        https://arxiv.org/abs/2009.14794
    """
    check_axes(projection=(projection, "d m"))
    query, key, value, key_mask = prepare_tokens(query, key, value, key_mask)
    features = _features(query, key, key_mask, projection, causal)
    batched = jnp.broadcast_to(projection, (*query.shape[:-2], *projection.shape))
    return observable(
        feature_context(*features, value, causal=causal),
        _weights,
        {"query": query, "key": key, "value": value, "key_mask": key_mask, "projection": batched},
        causal=causal,
    )


@renamed_arguments(mask="key_mask")
def performer_weights(
    query: Real[Array, "*b q d"],
    key: Real[Array, "*b k d"],
    *,
    projection: Real[Array, "d m"],
    key_mask: Bool[Array, "..."] | None = None,
    causal: bool = False,
) -> Float[Array, "*b q k"]:
    r"""Return the weights that :func:`performer_attention` implies, at quadratic cost.

    Args:
        query: `(*b, q, d)`.
        key: `(*b, k, d)`.
        projection: :math:`\omega`, one per column.
        key_mask: `(*b, k)`; True = the key exists.
        causal: Let each query see only the keys up to its own position.

    Returns:
        `(*b, q, k)`, in float32 at least.

    Raises:
        ValueError: If shapes do not fit together.
        TypeError: If a mask is not boolean.

    Example:
        >>> projection = performer_projection(3, 7, rng=jax.random.key(0))
        >>> performer_weights(jnp.ones((1, 3)), jnp.ones((2, 3)), projection=projection).tolist()
        [[0.5, 0.5]]
    """
    check_axes(projection=(projection, "d m"))
    query, key, _, key_mask = prepare_tokens(query, key, key, key_mask)
    return _weights(query, key, projection, key_mask, causal=causal)


def _weights(
    query: jax.Array,
    key: jax.Array,
    projection: jax.Array,
    key_mask: jax.Array | None = None,
    *,
    causal: bool,
) -> jax.Array:
    return feature_weights(*_features(query, key, key_mask, projection, causal), causal=causal)


def _features(
    query: jax.Array,
    key: jax.Array,
    key_mask: jax.Array | None,
    projection: jax.Array,
    causal: bool,
) -> tuple[jax.Array, jax.Array]:
    r"""Return the features of queries and keys, up to constants that cancel in the quotient.

    The constants keep the exponentials in range: they take out the largest exponent of each query,
    and the largest of all visible keys. :math:`\sqrt{m}` cancels too.
    """
    check_features("key", key.shape[-1], "query", query.shape[-1])
    check_features("query", query.shape[-1], "projection", projection.shape[-2])
    check_causal(causal, query, key)
    query_exponents, key_exponents = _exponents(query, projection), _exponents(key, projection)
    if key_mask is not None:
        key_exponents = jnp.where(key_mask[..., None], key_exponents, -jnp.inf)
    # A constant per key would not cancel, for the quotient sums over keys: they share theirs.
    return _stable_exp(query_exponents, -1), _stable_exp(key_exponents, (-2, -1))


def _exponents(x: jax.Array, projection: jax.Array) -> jax.Array:
    """Return the exponents of the features, in float32 at least."""
    # A fourth root on either side makes the square root that scales the inner product.
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32)) * x.shape[-1] ** -0.25
    projected = jnp.einsum("...td,...dm->...tm", x, projection.astype(x.dtype))
    return projected - (x**2).sum(axis=-1, keepdims=True) / 2


def _stable_exp(exponents: jax.Array, axis: int | tuple[int, ...]) -> jax.Array:
    """Exponentiate after subtracting the largest exponent over the axes."""
    largest = jnp.max(exponents, axis=axis, keepdims=True, initial=-jnp.inf)
    largest = jnp.where(largest == -jnp.inf, 0, largest)
    return jnp.exp(exponents - jax.lax.stop_gradient(largest))

"""Nyströmformer (Xiong 2021): attention through landmarks, the means of segments of tokens."""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Real

from attn_jax.ops.normalizers.softmax import softmax
from attn_jax.ops.scores.dot_product import default_scale
from attn_jax.ops.shapes import check_features
from attn_jax.ops.sub_quadratic.implied_weights import (
    full_token_mask,
    observable,
    prepare_tokens,
    safe_divide,
)
from attn_jax.renames import renamed_arguments


@renamed_arguments(mask="key_mask")
def nystrom_attention(
    query: Real[Array, "*b q d"],
    key: Real[Array, "*b k d"],
    value: Real[Array, "*b k e"],
    *,
    num_landmarks: int,
    num_iterations: int = 6,
    scale: float | None = None,
    key_mask: Bool[Array, "..."] | None = None,
    query_mask: Bool[Array, "..."] | None = None,
) -> Float[Array, "*b q e"]:
    r"""Approximate scaled dot-product attention through m landmarks of queries and of keys.

    .. math:: C = \operatorname{softmax}(Q \tilde K^\top / \sqrt{d})\,
              \operatorname{softmax}(\tilde Q \tilde K^\top / \sqrt{d})^+\,
              \operatorname{softmax}(\tilde Q K^\top / \sqrt{d})\, V

    A landmark is the mean of one of m segments, of nearly equal length, of the visible tokens; the
    pseudoinverse :math:`^+` is computed by iteration. The hook points are `query, key, value,
    weights, context`; the weights are computed only if they are captured or edited.

    Args:
        query: `(*b, q, d)`; heads are a batch axis.
        key: `(*b, k, d)`.
        value: `(*b, k, e)`.
        num_landmarks: m. With as many as tokens, and enough iterations, the result is exact.
        num_iterations: The iterations of the pseudoinverse.
        scale: Factor of the inner product; :math:`1/\sqrt{d}` if None.
        key_mask: `(*b, k)`; True = the key exists.
        query_mask: `(*b, q)`; True = the query exists. Other queries, such as padding, do not enter
            the landmarks.

    Returns:
        The context alone; :func:`nystrom_weights` returns the weights.

    Raises:
        ValueError: If shapes do not fit together, or `num_landmarks` is below one.
        TypeError: If a mask is not boolean.

    Example:
        >>> x = jnp.eye(5)
        >>> nystrom_attention(x, x, x, num_landmarks=2).shape
        (5, 5)

    References:
        Xiong et al., "Nyströmformer: A Nyström-based Algorithm for Approximating Self-Attention",
        2021, section 3 and equation 11. https://arxiv.org/abs/2102.03902
    """
    query, key, value, key_mask = prepare_tokens(query, key, value, key_mask)
    query_mask = _query_mask(query, query_mask)
    options = {"num_landmarks": num_landmarks, "num_iterations": num_iterations, "scale": scale}
    to_keys, inverse, from_queries = _factors(query, key, key_mask, query_mask, **options)
    context = to_keys @ (inverse @ (from_queries @ value.astype(from_queries.dtype)))
    masks = {"key_mask": key_mask, "query_mask": query_mask}
    operands = {"query": query, "key": key, "value": value} | masks
    return observable(context.astype(value.dtype), nystrom_weights, operands, **options)


@renamed_arguments(mask="key_mask")
def nystrom_weights(
    query: Real[Array, "*b q d"],
    key: Real[Array, "*b k d"],
    *,
    num_landmarks: int,
    num_iterations: int = 6,
    scale: float | None = None,
    key_mask: Bool[Array, "..."] | None = None,
    query_mask: Bool[Array, "..."] | None = None,
) -> Float[Array, "*b q k"]:
    r"""Return the weights that :func:`nystrom_attention` implies, at quadratic cost.

    Rows sum to one only approximately, and weights may be negative.

    Args:
        query: `(*b, q, d)`.
        key: `(*b, k, d)`.
        num_landmarks: m.
        num_iterations: The iterations of the pseudoinverse.
        scale: Factor of the inner product; :math:`1/\sqrt{d}` if None.
        key_mask: `(*b, k)`; True = the key exists.
        query_mask: `(*b, q)`; True = the query exists.

    Returns:
        `(*b, q, k)`, in float32 at least.

    Raises:
        ValueError: If shapes do not fit together, or `num_landmarks` is below one.
        TypeError: If a mask is not boolean.

    Example:
        >>> nystrom_weights(jnp.ones((1, 3)), jnp.ones((2, 3)), num_landmarks=1).tolist()
        [[0.5, 0.5]]
    """
    query, key, _, key_mask = prepare_tokens(query, key, key, key_mask)
    to_keys, inverse, from_queries = _factors(
        query,
        key,
        key_mask,
        _query_mask(query, query_mask),
        num_landmarks=num_landmarks,
        num_iterations=num_iterations,
        scale=scale,
    )
    return to_keys @ (inverse @ from_queries)


def _query_mask(query: jax.Array, mask: jax.Array | None) -> jax.Array | None:
    return None if mask is None else full_token_mask("query_mask", mask, query)


def _factors(
    query: jax.Array,
    key: jax.Array,
    key_mask: jax.Array | None,
    query_mask: jax.Array | None,
    *,
    num_landmarks: int,
    num_iterations: int,
    scale: float | None,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return the factors of the weights: `(*b, q, m)`, `(*b, m, m)` and `(*b, m, k)`."""
    check_features("key", key.shape[-1], "query", query.shape[-1])
    if num_landmarks < 1:
        raise ValueError(f"num_landmarks={num_landmarks} must be at least 1.")
    dtype = jnp.promote_types(query.dtype, jnp.float32)
    query = query.astype(dtype) * default_scale(query, scale)
    key = key.astype(dtype)
    # The full map is never built: queries meet key landmarks, query landmarks meet keys, and the
    # small core between the landmarks is inverted to join the two.
    query_marks, query_exists = _landmarks(query, query_mask, num_landmarks)
    key_marks, key_exists = _landmarks(key, key_mask, num_landmarks)
    visible = None if key_mask is None else key_mask[..., None, :]
    core = softmax(_products(query_marks, key_marks), mask=key_exists[..., None, :])
    # An empty landmark gives a row or a column of zeros, which the pseudoinverse keeps.
    core = jnp.where(query_exists[..., None], core, 0)
    return (
        softmax(_products(query, key_marks), mask=key_exists[..., None, :]),
        _pseudoinverse(core, num_iterations),
        softmax(_products(query_marks, key), mask=visible),
    )


def _products(one: jax.Array, other: jax.Array) -> jax.Array:
    return jnp.einsum("...qd,...kd->...qk", one, other)


def _landmarks(x: jax.Array, mask: jax.Array | None, count: int) -> tuple[jax.Array, jax.Array]:
    """Return the means of `count` segments of the visible tokens, and which segments have any."""
    mask = jnp.ones(x.shape[:-1], bool) if mask is None else mask
    # Segments divide the visible tokens, not all, so that padding does not change the landmarks.
    rank = jnp.cumsum(mask, axis=-1) - 1
    segment = rank * count // jnp.maximum(mask.sum(axis=-1, keepdims=True), 1)
    member = jax.nn.one_hot(segment, count, dtype=x.dtype) * mask[..., None]
    size = member.sum(axis=-2)
    total = jnp.einsum("...tm,...td->...md", member, jnp.where(mask[..., None], x, 0))
    return safe_divide(total, size[..., None]), size > 0


# Outside of `jit` a loop whose body is a new function would compile anew at each call.
@functools.partial(jax.jit, static_argnames="num_iterations", inline=True)
def _pseudoinverse(matrix: jax.Array, num_iterations: int) -> jax.Array:
    """Iterate toward the Moore-Penrose inverse, from the paper's initial guess."""
    # Scaled by the product of its largest row and column sums, the transpose is close enough to the
    # inverse for the iteration to converge.
    norm = matrix.sum(axis=-1).max(axis=-1) * matrix.sum(axis=-2).max(axis=-1)
    guess = safe_divide(jnp.swapaxes(matrix, -1, -2), norm[..., None, None])
    eye = jnp.eye(matrix.shape[-1], dtype=matrix.dtype)
    eye = eye.reshape((1,) * (matrix.ndim - 2) + eye.shape)

    def improve(_: ArrayLike, guess: jax.Array) -> jax.Array:
        # The paper's third-order iteration; matrix products alone suit an accelerator.
        step = matrix @ guess
        return guess @ (13 * eye - step @ (15 * eye - step @ (7 * eye - step))) / 4

    return lax.fori_loop(0, num_iterations, improve, guess)

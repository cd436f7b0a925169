"""Rotary position embedding (Su 2021): positions as rotations of queries and keys."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Real

from attn_jax.ops.shapes import as_float, check_broadcast


def rotary_frequencies(dim: int, *, base: float = 10_000.0) -> Float[Array, " n"]:
    r"""Return the angle by which one position rotates each pair of features.

    .. math:: \theta_i = \text{base}^{-2i/d}, \qquad i = 0, \ldots, d/2 - 1

    To extend the context, change these: use a larger `base`, or divide the frequencies by a factor
    (position interpolation).

    Args:
        dim: d, the number of rotated features, which must be even. With fewer than a head has
            (partial rotary embedding), the other features carry no position.
        base: The approximate ratio of the longest wavelength to the shortest.

    Returns:
        `(d / 2,)`, in radians per position.

    Raises:
        ValueError: If `dim` is odd.

    Example:
        >>> [round(float(f), 6) for f in rotary_frequencies(4)]
        [1.0, 0.01]
    """
    if dim % 2:
        raise ValueError(f"dim={dim} must be even, for features are rotated in pairs.")
    return jnp.asarray(base, jnp.float32) ** (-jnp.arange(0, dim, 2, dtype=jnp.float32) / dim)


def rotary(
    x: Real[Array, "*b t h d"],
    *,
    positions: Int[Array, "..."] | None = None,
    frequencies: Real[Array, " n"] | None = None,
) -> Float[Array, "*b t h d"]:
    r"""Rotate queries or keys by their positions; feature i is paired with feature i + n.

    .. math:: (x_i, x_{i+n}) \mapsto (x_i \cos t\theta_i - x_{i+n} \sin t\theta_i,\;
              x_{i+n} \cos t\theta_i + x_i \sin t\theta_i)

    The inner product of a rotated query and a rotated key depends on their positions only through
    the difference. GPT-NeoX, Llama and most later models pair the halves of the features like this;
    :func:`rotary_pairs` pairs neighbors, as the paper does. Pass the result to
    :func:`attn_jax.ops.attention`.

    Args:
        x: Queries or keys.
        positions: Positions of the tokens, broadcastable to `(*b, t)`; 0, 1, … if None. With a
            cache of n keys, new queries and keys have the positions `n + jnp.arange(t)`.
        frequencies: :math:`\theta`, for the first 2n features; the others stay unchanged.
            `rotary_frequencies(d)` if None.

    Returns:
        The rotated `x`, in its own type; angles are computed in float32.

    Raises:
        ValueError: If there are more frequencies than pairs, or positions do not broadcast.

    Example:
        >>> quarter = jnp.array([jnp.pi / 2])
        >>> x = jnp.array([3.0, 4.0]).reshape(1, 1, 2)
        >>> jnp.rint(rotary(x, positions=jnp.array([1]), frequencies=quarter)).tolist()
        [[[-4.0, 3.0]]]

    References:
        Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding", 2021, section
        3.2. https://arxiv.org/abs/2104.09864
    """
    (x,) = as_float(x)
    cos, sin = _cos_sin(x, positions, frequencies)
    pairs = cos.shape[-1]
    first, second, rest = jnp.split(x, [pairs, 2 * pairs], axis=-1)
    rotated = first * cos - second * sin, second * cos + first * sin
    return jnp.concatenate([*(part.astype(x.dtype) for part in rotated), rest], axis=-1)


def rotary_pairs(
    x: Real[Array, "*b t h d"],
    *,
    positions: Int[Array, "..."] | None = None,
    frequencies: Real[Array, " n"] | None = None,
) -> Float[Array, "*b t h d"]:
    r"""Rotate queries or keys by their positions; features 2i and 2i + 1 are a pair.

    .. math:: (x_{2i}, x_{2i+1}) \mapsto (x_{2i} \cos t\theta_i - x_{2i+1} \sin t\theta_i,\;
              x_{2i+1} \cos t\theta_i + x_{2i} \sin t\theta_i)

    It is :func:`rotary` with the features in another order, that of the paper and of GPT-J.

    Args:
        x: Queries or keys.
        positions: Positions of the tokens, broadcastable to `(*b, t)`; 0, 1, … if None.
        frequencies: :math:`\theta`, for the first 2n features; the others stay unchanged.
            `rotary_frequencies(d)` if None.

    Returns:
        The rotated `x`, in its own type.

    Raises:
        ValueError: If there are more frequencies than pairs, or positions do not broadcast.

    Example:
        >>> rotary_pairs(jnp.ones((5, 2, 6))).shape
        (5, 2, 6)

    References:
        Su et al., "RoFormer", 2021, equation 34. https://arxiv.org/abs/2104.09864
    """
    (x,) = as_float(x)
    cos, sin = _cos_sin(x, positions, frequencies)
    rotated = 2 * cos.shape[-1]
    first, second = x[..., 0:rotated:2], x[..., 1:rotated:2]
    turned = jnp.stack([first * cos - second * sin, second * cos + first * sin], axis=-1)
    turned = turned.reshape(*x.shape[:-1], rotated).astype(x.dtype)
    return jnp.concatenate([turned, x[..., rotated:]], axis=-1)


def _cos_sin(
    x: jax.Array, positions: jax.Array | None, frequencies: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    """Return the cosines and sines of the angles of every token, `(*b, t, 1, n)`."""
    frequencies = rotary_frequencies(x.shape[-1]) if frequencies is None else frequencies
    if 2 * frequencies.shape[-1] > x.shape[-1]:
        raise ValueError(
            f"frequencies of shape {frequencies.shape} rotate {2 * frequencies.shape[-1]} features "
            f"but x of shape {x.shape} has {x.shape[-1]}; give at most {x.shape[-1] // 2}."
        )
    tokens = x.shape[:-2]
    positions = jnp.arange(tokens[-1]) if positions is None else positions
    check_broadcast("positions", positions, tokens, "(*batch, tokens)")
    positions = positions.reshape((1,) * (len(tokens) - positions.ndim) + positions.shape)
    dtype = jnp.promote_types(x.dtype, jnp.float32)
    frequencies = frequencies.reshape((1,) * (len(tokens) + 1) + frequencies.shape)
    angles = positions[..., None, None].astype(dtype) * frequencies.astype(dtype)
    return jnp.cos(angles), jnp.sin(angles)

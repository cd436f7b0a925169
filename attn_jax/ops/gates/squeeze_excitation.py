"""Squeeze-and-excitation (Hu 2018): a gate for each channel."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from attn_jax.ops.shapes import check_axes, check_features


def squeeze_excitation(
    x: Real[Array, "*b h w c"],
    *,
    w_squeeze: Real[Array, "c r"],
    b_squeeze: Real[Array, " r"],
    w_excite: Real[Array, "r c"],
    b_excite: Real[Array, " c"],
) -> Float[Array, "*b c"]:
    r"""Return a gate for each channel, by the means of the channels.

    .. math:: s = \sigma\big(W_2 \operatorname{relu}(W_1 z + b_1) + b_2\big), \qquad
              z_c = \frac{1}{hw} \sum_{ij} x_{ijc}

    The gated features are :math:`\tilde x_{ijc} = s_c x_{ijc}`.

    Args:
        x: Features on a grid.
        w_squeeze: :math:`W_1`, to fewer channels.
        b_squeeze: :math:`b_1`.
        w_excite: :math:`W_2`, back to all of them.
        b_excite: :math:`b_2`.

    Returns:
        The gate, between 0 and 1.

    Raises:
        ValueError: If the features do not fit the parameters.

    Example:
        >>> gate = squeeze_excitation(
        ...     jnp.ones((2, 3, 4)),
        ...     w_squeeze=jnp.ones((4, 2)),
        ...     b_squeeze=jnp.zeros(2),
        ...     w_excite=jnp.zeros((2, 4)),
        ...     b_excite=jnp.zeros(4),
        ... )
        >>> gate.tolist()
        [0.5, 0.5, 0.5, 0.5]

    References:
        Hu, Shen and Sun, "Squeeze-and-Excitation Networks", 2018, section 3.
        https://arxiv.org/abs/1709.01507
    """
    check_bottleneck(x, w_squeeze, b_squeeze, w_excite, b_excite)
    mean = jnp.mean(x.astype(jnp.promote_types(x.dtype, jnp.float32)), axis=(-3, -2))
    return jax.nn.sigmoid(bottleneck(mean, w_squeeze, b_squeeze, w_excite, b_excite))


def bottleneck(
    z: jax.Array,
    w_squeeze: jax.Array,
    b_squeeze: jax.Array,
    w_excite: jax.Array,
    b_excite: jax.Array,
) -> jax.Array:
    """Apply a network of one narrow hidden layer to the channels."""
    ones = (1,) * (z.ndim - 1)
    hidden = jax.nn.relu(z @ w_squeeze.astype(z.dtype) + b_squeeze.reshape(*ones, -1))
    return hidden @ w_excite.astype(z.dtype) + b_excite.reshape(*ones, -1)


def check_bottleneck(
    x: jax.Array,
    w_squeeze: jax.Array,
    b_squeeze: jax.Array,
    w_excite: jax.Array,
    b_excite: jax.Array,
) -> None:
    """Check that the parameters fit the channels and one another.

    Raises:
        ValueError: If they do not.
    """
    check_axes(w_squeeze=(w_squeeze, "c r"), b_squeeze=(b_squeeze, "r"))
    check_axes(w_excite=(w_excite, "r c"), b_excite=(b_excite, "c"))
    check_features("x", x.shape[-1], "w_squeeze", w_squeeze.shape[0])
    check_features("b_squeeze", b_squeeze.shape[0], "w_squeeze", w_squeeze.shape[1])
    check_features("w_excite", w_excite.shape[0], "w_squeeze", w_squeeze.shape[1])
    check_features("w_excite (its columns)", w_excite.shape[1], "x", x.shape[-1])
    check_features("b_excite", b_excite.shape[0], "x", x.shape[-1])

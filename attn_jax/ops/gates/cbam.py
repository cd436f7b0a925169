"""CBAM (Woo 2018): a gate for each channel, then one for each position."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Real

from attn_jax.ops.gates.squeeze_excitation import bottleneck, check_bottleneck
from attn_jax.ops.shapes import check_axes, check_features


def channel_gate(
    x: Real[Array, "*b h w c"],
    *,
    w_squeeze: Real[Array, "c r"],
    b_squeeze: Real[Array, " r"],
    w_excite: Real[Array, "r c"],
    b_excite: Real[Array, " c"],
) -> Float[Array, "*b c"]:
    r"""Return a gate for each channel, by the means and maxima of the channels.

    .. math:: M_c(F) = \sigma\big(\operatorname{MLP}(\operatorname{mean}_{ij} F)
              + \operatorname{MLP}(\max_{ij} F)\big)

    The gated features are :math:`F' = M_c(F) \cdot F`.

    Args:
        x: F, features on a grid.
        w_squeeze: First layer of the shared network, to fewer channels.
        b_squeeze: Its bias.
        w_excite: Second layer, back to all channels.
        b_excite: Its bias.

    Returns:
        The gate, between 0 and 1.

    Raises:
        ValueError: If the features do not fit the parameters.

    Example:
        >>> gate = channel_gate(
        ...     jnp.ones((2, 3, 4)),
        ...     w_squeeze=jnp.ones((4, 2)),
        ...     b_squeeze=jnp.zeros(2),
        ...     w_excite=jnp.zeros((2, 4)),
        ...     b_excite=jnp.zeros(4),
        ... )
        >>> gate.tolist()
        [0.5, 0.5, 0.5, 0.5]

    References:
        Woo et al., "CBAM: Convolutional Block Attention Module", 2018, section 3.
        https://arxiv.org/abs/1807.06521
    """
    check_bottleneck(x, w_squeeze, b_squeeze, w_excite, b_excite)
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    pooled = jnp.mean(wide, axis=(-3, -2)), jnp.max(wide, axis=(-3, -2))
    layers = (w_squeeze, b_squeeze, w_excite, b_excite)
    mean_score, max_score = (bottleneck(z, *layers) for z in pooled)
    return jax.nn.sigmoid(mean_score + max_score)


def spatial_gate(
    x: Real[Array, "*b h w c"],
    *,
    kernel: Real[Array, "r s 2 1"],
    b: Real[Array, ""] | None = None,
) -> Float[Array, "*b h w"]:
    r"""Return a gate for each position, by the mean and the maximum over its channels.

    .. math:: M_s(F) = \sigma\big(f([\operatorname{mean}_c F; \max_c F])\big)

    The gated features are :math:`F'' = M_s(F) \cdot F`.

    Args:
        x: F, features on a grid.
        kernel: Kernel of the convolution f, from two maps to one score; 7 by 7 in the paper.
        b: Bias of the score, if any.

    Returns:
        The gate, between 0 and 1.

    Raises:
        ValueError: If the kernel does not take two maps and give one.

    Example:
        >>> gate = spatial_gate(jnp.ones((2, 3, 4)), kernel=jnp.zeros((7, 7, 2, 1)))
        >>> gate.tolist()
        [[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]

    References:
        Woo et al., "CBAM: Convolutional Block Attention Module", 2018, section 3.
        https://arxiv.org/abs/1807.06521
    """
    check_axes(kernel=(kernel, "r s 2 1"))
    check_features("kernel (its inputs)", kernel.shape[2], "the mean and the maximum", 2)
    check_features("kernel (its outputs)", kernel.shape[3], "the gate", 1)
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    maps = jnp.stack([jnp.mean(wide, axis=-1), jnp.max(wide, axis=-1)], axis=-1)
    scores = lax.conv_general_dilated(
        maps.reshape(-1, *maps.shape[-3:]),
        kernel.astype(maps.dtype),
        window_strides=(1, 1),
        padding="SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return jax.nn.sigmoid(scores.reshape(x.shape[:-1]) + (0 if b is None else b))

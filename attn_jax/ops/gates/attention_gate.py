"""The attention gate of Attention U-Net (Oktay 2018)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from attn_jax.ops.shapes import check_axes, check_features


def attention_gate(
    x: Real[Array, "*b h w c"],
    gating: Real[Array, "*b h_g w_g c_g"],
    *,
    w_x: Real[Array, "r s c a"],
    w_gating: Real[Array, "c_g a"],
    b: Real[Array, " a"],
    v: Real[Array, " a"],
    b_v: Real[Array, ""],
) -> Float[Array, "*b h w"]:
    r"""Return a gate for each position of fine features, by a coarser contextual signal.

    .. math:: \alpha = \sigma\big(\psi^\top \operatorname{relu}(W_x^\top x + W_g^\top g + b_g)
              + b_\psi\big)

    The gated features are :math:`\hat x = \alpha \cdot x`.

    In the paper's symbols :math:`W_g` is `w_gating`, :math:`b_g` is `b`, :math:`\psi` is `v` and
    :math:`b_\psi` is `b_v`. Where the grid of `x` is finer than that of `gating`, :math:`W_x` is a
    convolution whose stride is its size, and the gate is interpolated back to the finer grid.

    Args:
        x: The features of the skip connection.
        gating: The coarser signal; `h = r h_g` and `w = s w_g`.
        w_x: Projects the features; `(1, 1, c, a)` where the grids are the same.
        w_gating: Projects the signal.
        b: Bias of the hidden layer.
        v: Weighs the hidden units.
        b_v: Bias of the gate; above zero the gate starts open.

    Returns:
        The gate, between 0 and 1.

    Raises:
        ValueError: If features or grids do not fit together.

    Example:
        >>> gate = attention_gate(
        ...     jnp.ones((4, 6, 3)),
        ...     jnp.ones((2, 3, 5)),
        ...     w_x=jnp.zeros((2, 2, 3, 7)),
        ...     w_gating=jnp.zeros((5, 7)),
        ...     b=jnp.zeros(7),
        ...     v=jnp.zeros(7),
        ...     b_v=jnp.array(0.0),
        ... )
        >>> gate[0].tolist()
        [0.5, 0.5, 0.5, 0.5, 0.5, 0.5]

    References:
        Oktay et al., "Attention U-Net: Learning Where to Look for the Pancreas", 2018, section 2.2.
        https://arxiv.org/abs/1804.03999
    """
    _check(x, gating, w_x, w_gating, b, v)
    hidden = _strided(x, w_x) + gating @ w_gating
    hidden = jax.nn.relu(hidden + b.reshape((1,) * (hidden.ndim - 1) + b.shape))
    scores = (hidden @ v).astype(jnp.promote_types(hidden.dtype, jnp.float32)) + b_v
    return jax.image.resize(jax.nn.sigmoid(scores), x.shape[:-1], "linear")


def _strided(x: jax.Array, w: jax.Array) -> jax.Array:
    """Convolve without overlap, by one product per patch: `(*b, h / r, w / s, a)`."""
    *batch, height, width, features = x.shape
    rows, columns = w.shape[:2]
    patches = x.reshape(*batch, height // rows, rows, width // columns, columns, features)
    return jnp.einsum("...hrwsc,rsca->...hwa", patches, w)


def _check(
    x: jax.Array, gating: jax.Array, w_x: jax.Array, w_gating: jax.Array, b: jax.Array, v: jax.Array
) -> None:
    check_axes(w_x=(w_x, "r s c a"), w_gating=(w_gating, "c_g a"), b=(b, "a"), v=(v, "a"))
    check_features("x", x.shape[-1], "w_x", w_x.shape[2])
    check_features("gating", gating.shape[-1], "w_gating", w_gating.shape[0])
    for name, array in (("w_gating", w_gating), ("b", b), ("v", v)):
        check_features(name, array.shape[-1], "w_x", w_x.shape[3])
    grid = tuple(n * r for n, r in zip(gating.shape[-3:-1], w_x.shape[:2], strict=True))
    if x.shape[-3:-1] != grid or x.shape[:-3] != gating.shape[:-3]:
        raise ValueError(
            f"x of shape {x.shape} must have the batch axes of gating, which has shape "
            f"{gating.shape}, and the grid {grid}: w_x is {w_x.shape[0]} by {w_x.shape[1]}."
        )

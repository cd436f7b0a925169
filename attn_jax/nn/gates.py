"""Gates of vision models as Flax modules; each has the hook point `gate`."""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Real

from attn_jax import ops
from attn_jax.hooks import tap
from attn_jax.ops.shapes import as_float

ZEROS, NORMAL = nn.initializers.zeros, nn.initializers.lecun_normal()


def gated(
    x: Real[Array, "*b h w c"], gate: Float[Array, "..."], *, over: str
) -> Float[Array, "*b h w c"]:
    """Tap a gate, and multiply the features by it.

    Args:
        x: `(*b, h, w, c)`.
        gate: `(*b, c)` or `(*b, h, w)`.
        over: `"channels"` or `"positions"`, the axes of the gate.
    """
    (x,), gate = as_float(x), tap("gate", gate)
    gate = gate[..., None, None, :] if over == "channels" else gate[..., None]
    return x * gate.astype(x.dtype)


class Bottleneck(nn.Module):
    """The base of channel gates: a network with one narrow hidden layer.

    Parameters: `w_squeeze (c, r)`, `b_squeeze (r,)`, `w_excite (r, c)`, `b_excite (c,)`.

    Attributes:
        reduction: The number of channels per hidden unit.
    """

    reduction: int = 16

    def parameters(self, channels: int) -> dict[str, Array]:
        """Create the parameters of the network."""
        hidden = max(channels // self.reduction, 1)
        return {
            "w_squeeze": self.param("w_squeeze", NORMAL, (channels, hidden), jnp.float32),
            "b_squeeze": self.param("b_squeeze", ZEROS, (hidden,), jnp.float32),
            "w_excite": self.param("w_excite", NORMAL, (hidden, channels), jnp.float32),
            "b_excite": self.param("b_excite", ZEROS, (channels,), jnp.float32),
        }


class SqueezeExcitation(Bottleneck):
    """A gate for each channel, by their means: :func:`attn_jax.ops.squeeze_excitation`.

    Example:
        >>> import jax
        >>> x = jnp.ones((2, 4, 6, 32))
        >>> model = SqueezeExcitation()
        >>> model.apply(model.init(jax.random.key(0), x), x).shape
        (2, 4, 6, 32)
    """

    @nn.compact
    def __call__(self, x: Real[Array, "*b h w c"]) -> Float[Array, "*b h w c"]:
        """Gate the channels."""
        gate = ops.squeeze_excitation(x, **self.parameters(x.shape[-1]))
        return gated(x, gate, over="channels")


class ChannelGate(Bottleneck):
    """CBAM's gate for each channel, by mean and maximum: :func:`attn_jax.ops.channel_gate`.

    Example:
        >>> import jax
        >>> x = jnp.ones((2, 4, 6, 32))
        >>> model = ChannelGate()
        >>> model.apply(model.init(jax.random.key(0), x), x).shape
        (2, 4, 6, 32)
    """

    @nn.compact
    def __call__(self, x: Real[Array, "*b h w c"]) -> Float[Array, "*b h w c"]:
        """Gate the channels."""
        gate = ops.channel_gate(x, **self.parameters(x.shape[-1]))
        return gated(x, gate, over="channels")


class SpatialGate(nn.Module):
    """CBAM's gate for each position: :func:`attn_jax.ops.spatial_gate`.

    Parameters: `kernel (n, n, 2, 1)`, `b ()`.

    Attributes:
        kernel_size: n, the side of the convolution.

    Example:
        >>> import jax
        >>> x = jnp.ones((2, 4, 6, 32))
        >>> model = SpatialGate()
        >>> model.apply(model.init(jax.random.key(0), x), x).shape
        (2, 4, 6, 32)
    """

    kernel_size: int = 7

    @nn.compact
    def __call__(self, x: Real[Array, "*b h w c"]) -> Float[Array, "*b h w c"]:
        """Gate the positions."""
        shape = (self.kernel_size, self.kernel_size, 2, 1)
        kernel = self.param("kernel", NORMAL, shape, jnp.float32)
        gate = ops.spatial_gate(x, kernel=kernel, b=self.param("b", ZEROS, (), jnp.float32))
        return gated(x, gate, over="positions")


class CBAM(nn.Module):
    """The channel gate of CBAM, followed by its spatial gate.

    The hook points are `channel.gate` and `spatial.gate`.

    Attributes:
        reduction: The number of channels per hidden unit of the channel gate.
        kernel_size: The side of the convolution of the spatial gate.

    Example:
        >>> import jax
        >>> x = jnp.ones((2, 4, 6, 32))
        >>> model = CBAM()
        >>> model.apply(model.init(jax.random.key(0), x), x).shape
        (2, 4, 6, 32)

    References:
        Woo et al., "CBAM: Convolutional Block Attention Module", 2018, section 3.
        https://arxiv.org/abs/1807.06521
    """

    reduction: int = 16
    kernel_size: int = 7

    @nn.compact
    def __call__(self, x: Real[Array, "*b h w c"]) -> Float[Array, "*b h w c"]:
        """Gate the channels, then the positions."""
        x = ChannelGate(self.reduction, name="channel")(x)
        return SpatialGate(self.kernel_size, name="spatial")(x)


class AttentionGate(nn.Module):
    """The gate of Attention U-Net: :func:`attn_jax.ops.attention_gate`.

    Parameters: `w_x (r, s, c, a)`, `w_gating (c_g, a)`, `b (a,)`, `v (a,)`, `b_v ()`.

    Attributes:
        hidden_dim: a, the hidden units; half the number of channels if None.

    Example:
        >>> import jax
        >>> x, gating = jnp.ones((2, 4, 6, 8)), jnp.ones((2, 2, 3, 16))
        >>> model = AttentionGate()
        >>> model.apply(model.init(jax.random.key(0), x, gating), x, gating).shape
        (2, 4, 6, 8)
    """

    hidden_dim: int | None = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "*b h w c"], gating: Real[Array, "*b h_g w_g c_g"]
    ) -> Float[Array, "*b h w c"]:
        """Gate the positions by the coarser signal.

        Args:
            x: The features of the skip connection.
            gating: The coarser signal, whose grid must divide that of `x`.

        Raises:
            ValueError: If the grid of `gating` does not divide that of `x`.
        """
        hidden = self.hidden_dim or max(x.shape[-1] // 2, 1)
        stride = tuple(n // m for n, m in zip(x.shape[-3:-1], gating.shape[-3:-1], strict=True))
        gate = ops.attention_gate(
            x,
            gating,
            w_x=self.param("w_x", NORMAL, (*stride, x.shape[-1], hidden), jnp.float32),
            w_gating=self.param("w_gating", NORMAL, (gating.shape[-1], hidden), jnp.float32),
            b=self.param("b", ZEROS, (hidden,), jnp.float32),
            v=self.param("v", nn.initializers.normal(hidden**-0.5), (hidden,), jnp.float32),
            b_v=self.param("b_v", ZEROS, (), jnp.float32),
        )
        return gated(x, gate, over="positions")

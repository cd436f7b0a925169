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
    """Tap a gate, and let the features pass through it.

    Args:
        x: `(*b, h, w, c)`.
        gate: `(*b, c)` or `(*b, h, w)`.
        over: What the gate has an entry for: `"channels"` or `"places"`.
    """
    (x,), gate = as_float(x), tap("gate", gate)
    spread = gate[..., None, None, :] if over == "channels" else gate[..., None]
    return x * spread.astype(x.dtype)


class Bottleneck(nn.Module):
    """The base of gates for channels: a network of one narrow hidden layer.

    Parameters: `w_squeeze (c, r)`, `b_squeeze (r,)`, `w_excite (r, c)`, `b_excite (c,)`.

    Attributes:
        reduction: How many channels there are for each hidden unit.
    """

    reduction: int = 16

    def parameters(self, channels: int) -> dict[str, Array]:
        """The network's parameters."""
        hidden = max(channels // self.reduction, 1)
        return {
            "w_squeeze": self.param("w_squeeze", NORMAL, (channels, hidden), jnp.float32),
            "b_squeeze": self.param("b_squeeze", ZEROS, (hidden,), jnp.float32),
            "w_excite": self.param("w_excite", NORMAL, (hidden, channels), jnp.float32),
            "b_excite": self.param("b_excite", ZEROS, (channels,), jnp.float32),
        }


class SqueezeExcitation(Bottleneck):
    """A gate for each channel, by the channels' means: :func:`attn_jax.ops.squeeze_excitation`.

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
    """CBAM's gate for each place: :func:`attn_jax.ops.spatial_gate`.

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
        """Gate the places."""
        shape = (self.kernel_size, self.kernel_size, 2, 1)
        kernel = self.param("kernel", NORMAL, shape, jnp.float32)
        gate = ops.spatial_gate(x, kernel=kernel, b=self.param("b", ZEROS, (), jnp.float32))
        return gated(x, gate, over="places")


class CBAM(nn.Module):
    """The gate for each channel and, after it, the gate for each place.

    The hook points are `channel.gate` and `spatial.gate`.

    Attributes:
        reduction: How many channels there are for each hidden unit of the channels' gate.
        kernel_size: The side of the convolution of the places' gate.

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
        """Gate the channels, then the places."""
        x = ChannelGate(self.reduction, name="channel")(x)
        return SpatialGate(self.kernel_size, name="spatial")(x)


class AttentionGate(nn.Module):
    """The gate of Attention U-Net: :func:`attn_jax.ops.attention_gate`.

    Parameters: `w_x (r, s, c, a)`, `w_gating (c_g, a)`, `b (a,)`, `v (a,)`, `b_v ()`.

    Attributes:
        hidden_dim: a, the hidden units; half as many as there are channels if None.

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
        """Let the coarser signal gate the places.

        Args:
            x: Features of the skip connection.
            gating: The coarser signal, whose grid divides that of `x`.

        Raises:
            ValueError: If the grids do not divide.
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
        return gated(x, gate, over="places")

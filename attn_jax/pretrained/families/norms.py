"""Normalizations whose denominator is a hook point, so that it can be held fixed."""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from attn_jax.hooks import tap


def _normalize(x: Float[Array, "*b f"], epsilon: float) -> Float[Array, "*b f"]:
    """Divide by the root mean square."""
    mean_square = jnp.square(x).mean(-1, keepdims=True)
    return tap("normalized", x / tap("denominator", jnp.sqrt(mean_square + epsilon)))


class RMSNorm(nn.Module):
    """Root mean square normalization, with the parameter `scale`.

    Its hook point `denominator`, `(*b, 1)`, is what each token is divided by. With that held fixed
    the normalization is linear, which is how logits are attributed to heads. `normalized` is the
    quotient, and `output` the quotient times the scale.

    Attributes:
        epsilon: Added to mean squares.

    References:
        Zhang and Sennrich, 2019. https://arxiv.org/abs/1910.07467
    """

    epsilon: float = 1e-6

    @nn.compact
    def __call__(self, x: Float[Array, "*b f"]) -> Float[Array, "*b f"]:
        """Normalize each token."""
        scale = self.param("scale", nn.initializers.ones, x.shape[-1:])
        return tap("output", _normalize(x, self.epsilon) * jnp.broadcast_to(scale, x.shape))


class LayerNorm(nn.Module):
    """Layer normalization, with the parameters `scale` and `bias`.

    Its hook point `denominator`, `(*b, 1)`, is what the centered features of each token are divided
    by; `normalized` is the quotient, and `output` has the scale and the bias. The variance is that
    of the centered values, as PyTorch's.

    Attributes:
        epsilon: Added to variances.

    References:
        Ba, Kiros and Hinton, 2016. https://arxiv.org/abs/1607.06450
    """

    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: Float[Array, "*b f"]) -> Float[Array, "*b f"]:
        """Normalize each token."""
        scale = self.param("scale", nn.initializers.ones, x.shape[-1:])
        bias = self.param("bias", nn.initializers.zeros, x.shape[-1:])
        normalized = _normalize(x - x.mean(-1, keepdims=True), self.epsilon)
        scaled = normalized * jnp.broadcast_to(scale, x.shape)
        return tap("output", scaled + jnp.broadcast_to(bias, x.shape))

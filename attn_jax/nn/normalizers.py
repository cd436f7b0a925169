"""Normalisers with parameters: give one as an attention module's `normalizer`."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Real

from attn_jax import ops


def _per_head(module: nn.Module, name: str, num_heads: int | None) -> jax.Array:
    """A parameter of zeros: one, or one for each head of scores `(*b, h, q, k)`."""
    shape = () if num_heads is None else (num_heads, 1, 1)
    return module.param(name, nn.initializers.zeros, shape, jnp.float32)


class Entmax(nn.Module):
    r"""Learns how sparse to be, between softmax and sparsemax: :func:`attn_jax.ops.entmax`.

    :math:`\alpha = 1 + \sigma(a)`. Parameter: `a`, `()` or `(h, 1, 1)`, of zeros at first.

    Attributes:
        num_heads: Of a multi-head attention, each of which then learns its own; None for one alpha.

    Example:
        >>> from attn_jax.nn import DotProductAttention
        >>> x = jnp.eye(3)
        >>> model = DotProductAttention(normalizer=Entmax())
        >>> variables = model.init(jax.random.key(0), x, x, x)
        >>> model.apply(variables, x, x, x).shape
        (3, 3)

    References:
        Correia, Niculae and Martins, "Adaptively Sparse Transformers", 2019, section 3.
        https://arxiv.org/abs/1909.00015
    """

    num_heads: int | None = None

    @nn.compact
    def __call__(
        self, scores: Real[Array, "*b k"], *, mask: Bool[Array, "..."] | None = None
    ) -> Float[Array, "*b k"]:
        """Normalise."""
        alpha = 1 + nn.sigmoid(_per_head(self, "a", self.num_heads))
        return ops.entmax(scores, alpha, mask=mask)


class SoftmaxWithSink(nn.Module):
    """Learns when to attend to nothing: :func:`attn_jax.ops.softmax_with_sink`.

    Parameter: `sink`, `()` or `(h, 1, 1)`, of zeros at first.

    Attributes:
        num_heads: Of a multi-head attention, each of which then learns its own; None for one sink.

    Example:
        >>> from attn_jax.nn import DotProductAttention
        >>> x = jnp.eye(3)
        >>> model = DotProductAttention(normalizer=SoftmaxWithSink())
        >>> variables = model.init(jax.random.key(0), x, x, x)
        >>> model.apply(variables, x, x, x).shape
        (3, 3)
    """

    num_heads: int | None = None

    @nn.compact
    def __call__(
        self, scores: Real[Array, "*b k"], *, mask: Bool[Array, "..."] | None = None
    ) -> Float[Array, "*b k"]:
        """Normalise."""
        return ops.softmax_with_sink(scores, _per_head(self, "sink", self.num_heads), mask=mask)

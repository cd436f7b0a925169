"""Normalizers with parameters, for the `normalizer` of an attention module."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Real

from attn_jax import ops


def _per_head(module: nn.Module, name: str, num_heads: int | None) -> jax.Array:
    """Create a parameter that starts at zero, one for all or one for each head."""
    shape = () if num_heads is None else (num_heads, 1, 1)
    return module.param(name, nn.initializers.zeros, shape, jnp.float32)


class Entmax(nn.Module):
    r"""Entmax with learned sparsity, from softmax to sparsemax: :func:`attn_jax.ops.entmax`.

    :math:`\alpha = 1 + \sigma(a)`. Parameter: `a`, `()` or `(h, 1, 1)`, zero at first.

    Attributes:
        num_heads: The heads of a multi-head attention, for one alpha per head; one alpha if None.

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
        """Normalize the scores of the keys that the mask allows."""
        alpha = 1 + nn.sigmoid(_per_head(self, "a", self.num_heads))
        return ops.entmax(scores, alpha, mask=mask)


class SoftmaxWithSink(nn.Module):
    """Softmax with a learned sink: :func:`attn_jax.ops.softmax_with_sink`.

    The sink lets a query attend to nothing. Parameter: `sink`, `()` or `(h, 1, 1)`, zero at first.

    Attributes:
        num_heads: The heads of a multi-head attention, for one sink per head; one sink if None.

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
        """Normalize the scores of the keys that the mask allows."""
        return ops.softmax_with_sink(scores, _per_head(self, "sink", self.num_heads), mask=mask)

"""Parts that families share, with the hook points that the study of circuits needs."""

import dataclasses
import functools
from collections.abc import Callable, Mapping

import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from attn_jax.hooks import tap_derived
from attn_jax.nn import MultiHeadAttention
from attn_jax.pretrained.errors import PretrainedError
from attn_jax.pretrained.families.norms import LayerNorm


@dataclasses.dataclass(frozen=True)
class HeadOutput:
    """The contribution of each head to the output of an attention (a `DerivedTap`).

    The operands are `heads`, `(*b, tokens, h, d)`, and `kernel`, the output projection
    `(h, d, features)`.
    """

    @property
    def leaves(self) -> tuple[str, ...]:
        """The contributions `(*b, tokens, h, features)`, and the output."""
        return ("head_output", "output")

    @property
    def observations(self) -> tuple[str, ...]:
        """The contributions, which are computed to be read."""
        return ("head_output",)

    def derive(self, leaf: str, operands: Mapping[str, Array]) -> Array:
        """Return the contributions, or the output."""
        if leaf in operands:
            return operands[leaf]
        heads, kernel = operands["heads"], operands["kernel"]
        return jnp.einsum("...hd,...hdf->...hf", heads, kernel.astype(heads.dtype))

    def rewrite(self, leaf: str, edited: Array, operands: Mapping[str, Array]) -> dict[str, Array]:
        """Put an edited output among the operands."""
        return {**operands, leaf: edited}

    def rows(self, operands: Mapping[str, Array], start: ArrayLike, size: int) -> dict[str, Array]:
        """Return the operands of all tokens."""
        return dict(operands)


class HeadAttention(MultiHeadAttention):
    """Multi-head attention whose heads' contributions to the residual stream can be read.

    Beside the hook points of :class:`attn_jax.nn.MultiHeadAttention` there are `output` and
    `head_output`, `(*b, tokens, h, features)`, which sums over the heads to the output less its
    bias, and is computed only when it is asked for by name.
    """

    def output(self, context: Float[Array, "*b q h e"], query: Array) -> Float[Array, "*b q d"]:
        """Project the contexts to the residual stream."""
        out = super().output(context, query)
        kernel = self.get_variable("params", "out")["kernel"]
        # Under `vmap` operands are aligned from the front, so the kernel has the rank of the heads.
        kernel = kernel.reshape((1,) * (context.ndim - 2) + kernel.shape)
        return tap_derived(HeadOutput(), out, {"heads": context, "kernel": kernel})


def layer_norm(epsilon: float, name: str) -> LayerNorm:
    """Create a layer normalization."""
    return LayerNorm(epsilon, name=name)


def activation(name: str) -> Callable[[Array], Array]:
    """Return an activation by its name in `config.json`.

    Raises:
        PretrainedError: If it is not known.
    """
    if name not in _ACTIVATIONS:
        raise PretrainedError(
            f"config.json asks for the activation {name!r}; known are {', '.join(_ACTIVATIONS)}."
        )
    return _ACTIVATIONS[name]


_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": functools.partial(nn.gelu, approximate=False),
    "gelu_new": nn.gelu,
    "gelu_pytorch_tanh": nn.gelu,
    "relu": nn.relu,
    "silu": nn.silu,
}

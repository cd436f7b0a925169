"""Parts that families share, with the hook points that the study of circuits needs."""

import dataclasses
import functools
from collections.abc import Callable, Mapping

import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Int

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

    Attributes:
        is_scaled: Whether a learned scale of each feature follows the output projection.
    """

    is_scaled: bool = False

    def output(self, context: Float[Array, "*b q h e"], query: Array) -> Float[Array, "*b q d"]:
        """Project the contexts to the residual stream."""
        out = super().output(context, query)
        kernel = self.get_variable("params", "out")["kernel"]
        if self.is_scaled:
            scale = self.param("scale", nn.initializers.ones, out.shape[-1:])
            out = out * jnp.broadcast_to(scale, out.shape)
            kernel = kernel * jnp.broadcast_to(scale, kernel.shape)
        # Under `vmap` operands are aligned from the front, so the kernel has the rank of the heads.
        kernel = kernel.reshape((1,) * (context.ndim - 2) + kernel.shape)
        return tap_derived(HeadOutput(), out, {"heads": context, "kernel": kernel})


def at_positions(
    x: Float[Array, "*b t f"], positions: Int[Array, "..."] | None
) -> Float[Array, "*b p f"]:
    """Return the states of some tokens, `(p,)` or `(*b, p)`; those of all if None."""
    if positions is None:
        return x
    each = jnp.broadcast_to(positions, (*x.shape[:-2], positions.shape[-1]))
    return jnp.take_along_axis(x, each[..., None], axis=-2)


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
    "quick_gelu": lambda x: x * nn.sigmoid(1.702 * x),
    "relu": nn.relu,
    "silu": nn.silu,
    "swish": nn.silu,
}

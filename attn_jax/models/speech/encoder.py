"""The encoder of spectrograms."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int


class SpeechEncoder(nn.Module):
    """Convolutions over time, which merge frames into states.

    Convolutions with a stride of two are followed by residual ones. A state hears only what is
    near it, half a second on either side by default, so attention to it says when something was
    heard; the states of a recurrent encoder may hold any word at any time.

    Attributes:
        features: The features of a state.
        halvings: The convolutions with a stride of two; with two, a state merges four frames.
        dilations: The distance between the taps of each residual convolution, in states.
        width: The taps of a convolution.
        dropout_rate: The fraction of the features of each residual branch dropped in training.

    Example:
        >>> model, mel = SpeechEncoder(features=6, dilations=(1,)), jnp.ones((2, 12, 5))
        >>> frames = jnp.array([12, 7])
        >>> variables = model.init(jax.random.key(0), mel, frames)
        >>> states, exists = model.apply(variables, mel, frames)
        >>> states.shape, exists.sum(-1).tolist()
        ((2, 3, 6), [3, 2])
    """

    features: int = 96
    halvings: int = 2
    dilations: tuple[int, ...] = (1, 2, 3)
    width: int = 5
    dropout_rate: float = 0.1

    @property
    def merged(self) -> int:
        """The frames that a state merges."""
        return 2**self.halvings

    @nn.compact
    def __call__(
        self, mel: Float[Array, "n frames mels"], frames: Int[Array, " n"], *, train: bool = False
    ) -> tuple[Float[Array, "n states d"], Bool[Array, "n states"]]:
        """Encode spectrograms.

        Args:
            mel: Spectrograms, padded at the end; their length is a multiple of `merged`.
            frames: The number of frames of each.
            train: Turns dropout on; then give `rngs={"dropout": rng}`.

        Returns:
            The states, zero after the end of each sound; and which of them exist.

        Raises:
            ValueError: If the number of frames is no multiple of `merged`.
        """
        if mel.shape[1] % self.merged:
            raise ValueError(
                f"{mel.shape[1]} frames cannot be merged {self.merged} by {self.merged}; pad them "
                f"to a multiple of {self.merged}."
            )
        x, exists = mel, None
        for number in range(self.halvings):
            stride = 2 ** (number + 1)
            exists = jnp.arange(mel.shape[1] // stride)[None] * stride < frames[:, None]
            x = _shaped(nn.Conv(self.features, (self.width,), strides=2)(x), exists)
        exists = jnp.asarray(exists)
        for dilation in self.dilations:
            branch = nn.Conv(self.features, (self.width,), kernel_dilation=dilation)(x)
            branch = nn.Dropout(self.dropout_rate)(_shaped(branch, exists), deterministic=not train)
            x = x + branch
        return x, exists


def _shaped(x: jax.Array, exists: jax.Array) -> jax.Array:
    """Normalize each state, rectify it, and keep padding zero, as a shorter batch would have it."""
    return jnp.where(exists[..., None], nn.relu(nn.LayerNorm()(x)), 0)

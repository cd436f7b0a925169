"""Heads that classify an image by its tokens."""

import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Float


class ClassHead(nn.Module):
    """Logits from the class token.

    Attributes:
        classes: The number of classes.
    """

    classes: int

    @nn.compact
    def __call__(self, x: Float[Array, "*b t f"], prefix_tokens: int) -> Float[Array, "*b n"]:
        """Return the logits, `(*b, classes)`."""
        return nn.Dense(self.classes, name="class")(x[..., 0, :])


class DistilledHead(nn.Module):
    """The mean of the logits of the class token and of the distillation token.

    Attributes:
        classes: The number of classes.
    """

    classes: int

    @nn.compact
    def __call__(self, x: Float[Array, "*b t f"], prefix_tokens: int) -> Float[Array, "*b n"]:
        """Return the logits, `(*b, classes)`."""
        logits = nn.Dense(self.classes, name="class")(x[..., 0, :])
        return (logits + nn.Dense(self.classes, name="distillation")(x[..., 1, :])) / 2


class MeanHead(nn.Module):
    """Logits from the class token beside the mean of the patches.

    Attributes:
        classes: The number of classes.
    """

    classes: int

    @nn.compact
    def __call__(self, x: Float[Array, "*b t f"], prefix_tokens: int) -> Float[Array, "*b n"]:
        """Return the logits, `(*b, classes)`."""
        patches = x[..., prefix_tokens:, :].mean(-2)
        return nn.Dense(self.classes, name="class")(jnp.concatenate([x[..., 0, :], patches], -1))


Head = ClassHead | DistilledHead | MeanHead

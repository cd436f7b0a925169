"""A model of a driver who attends to the cars around (ego-attention)."""

from typing import ClassVar

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from attn_jax.nn import MultiHeadAttention


class EgoAttention(nn.Module):
    """Ego-attention: one car asks, all answer, in whatever order they come.

    Each car is embedded by the same network. The driver's car asks once for each of the outputs:
    query 0 for the acceleration, query 1 for the lane. The keys are the other cars; the paper's
    include the driver's own.

    Attributes:
        features: The features of an embedded car.
        num_heads: The heads of the attention.
        hidden_dim: The hidden units of the networks.
        attention_pattern: The hook point of the attention, (n, heads, 2, k − 1).

    Example:
        >>> model = EgoAttention()
        >>> cars, exists = jnp.ones((2, 5, 4)), jnp.ones((2, 5), bool)
        >>> variables = model.init(jax.random.key(0), cars, exists)
        >>> [output.shape for output in model.apply(variables, cars, exists)]
        [(2,), (2, 3)]

    References:
        Leurent and Mercat, "Social Attention for Autonomous Decision-Making in Dense Traffic",
        2019, section 3. https://arxiv.org/abs/1911.12250
    """

    features: int = 64
    num_heads: int = 2
    hidden_dim: int = 128
    attention_pattern: ClassVar[str] = "attention.weights"

    @nn.compact
    def __call__(
        self, cars: Float[Array, "n k f"], exists: Bool[Array, "n k"], *, train: bool = False
    ) -> tuple[Float[Array, " n"], Float[Array, "n 3"]]:
        """Map cars to an acceleration in m/s² and the logits of three lanes: own, left and right.

        Args:
            cars: What is known of each car, the driver's own first.
            exists: Whether there is such a car.
            train: Ignored.
        """
        embedded = self._network(self.features, "car")(cars)
        own = embedded[:, :1]
        asked = [self._network(self.features, f"ask_{name}")(own) for name in ("speed", "lane")]
        query = jnp.concatenate(asked, 1)
        attention = MultiHeadAttention(num_heads=self.num_heads, name="attention")
        read = attention(query, embedded[:, 1:], key_mask=exists[:, 1:])
        known = jnp.concatenate([read, jnp.broadcast_to(own, read.shape)], -1)
        acceleration = self._network(1, "acceleration")(known[:, 0])[:, 0]
        return acceleration, self._network(3, "change")(known[:, 1])

    def _network(self, features: int, name: str) -> nn.Module:
        hidden = nn.Dense(self.hidden_dim)
        return nn.Sequential([hidden, nn.gelu, nn.Dense(features)], name=name)

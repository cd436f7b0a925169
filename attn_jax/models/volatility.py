"""A forecaster of volatility that attends to past days."""

from typing import ClassVar

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from attn_jax.models.sizes import filled
from attn_jax.nn import MultiHeadAttention


class HorizonAttention(nn.Module):
    """Attention over past days, asked once for each horizon: the next day and the next month.

    A day is embedded with how long ago it was. A query is learned for each horizon and also sees
    the last day. The forecast is linear in what a query reads, plus what a small network adds.

    Attributes:
        features: The features of an embedded day.
        num_heads: The heads of the attention.
        hidden_dim: The hidden units of the networks.
        horizons: The number of horizons.
        dropout_rate: The fraction of what a query reads dropped in training.
        window: The number of past days; filled in from the task.
        attention_pattern: The hook point of the attention, (n, heads, horizons, window).

    Example:
        >>> model = HorizonAttention(window=30)
        >>> past = jnp.ones((4, 30, 2))
        >>> model.apply(model.init(jax.random.key(0), past), past).shape
        (4, 2)
    """

    features: int = 32
    num_heads: int = 2
    hidden_dim: int = 32
    horizons: int = 2
    dropout_rate: float = 0.1
    window: int | None = None
    attention_pattern: ClassVar[str] = "attention.weights"

    @nn.compact
    def __call__(
        self, past: Float[Array, "n k f"], *, train: bool = False
    ) -> Float[Array, "n horizons"]:
        """Map past days to the logarithm of the variance at each horizon.

        Args:
            past: What is known of each day, the latest last.
            train: Turns dropout on; then give `rngs={"dropout": rng}`.

        Raises:
            ValueError: If a size is not filled in.
        """
        initial = nn.initializers.normal(0.1)
        ago = self.param("ago", initial, (filled(self, "window"), self.features), jnp.float32)
        asked = self.param("horizon", initial, (self.horizons, self.features), jnp.float32)
        hidden = nn.gelu(nn.Dense(self.hidden_dim, name="hidden")(past))
        days = nn.Dense(self.features, name="day")(past) + ago[None]
        days = days + nn.Dense(self.features, name="more")(hidden)
        query = asked[None] + nn.Dense(self.features, name="last")(days[:, -1:])
        read = MultiHeadAttention(num_heads=self.num_heads, name="attention")(query, days)
        read = nn.Dropout(self.dropout_rate, deterministic=not train)(read)
        small = nn.initializers.normal(0.01)
        added = nn.gelu(nn.Dense(self.hidden_dim, name="mix")(read + query))
        heads = (nn.Dense(1, kernel_init=small, name=name) for name in ("linear", "added"))
        linear, further = (
            head(each)[..., 0] for head, each in zip(heads, (read, added), strict=True)
        )
        return linear + further

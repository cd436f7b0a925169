"""The volatility of prices: how much they will move tomorrow, and in the month to come."""

from attn_jax.tasks.volatility.task import Volatility

__all__ = ["Volatility"]

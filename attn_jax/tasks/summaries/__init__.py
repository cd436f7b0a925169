"""Documents and their summaries: docstrings of packages, or your own."""

from attn_jax.tasks.summaries.task import Summaries

__all__ = ["Summaries"]

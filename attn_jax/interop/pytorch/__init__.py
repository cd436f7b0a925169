"""PyTorch models as JAX functions, by torchax, which is imported when a model is opened."""

from attn_jax.interop.pytorch.bridge import Bridged, open_torch

__all__ = ["Bridged", "open_torch"]

"""Bridges to other libraries: names for their modules, and rules for known attention kernels.

:func:`named` gives hook points the attribute paths of NNX, Equinox, Keras and penzai models; each
library is imported only when used. :func:`open_torch` opens PyTorch models of transformers as JAX
functions. :mod:`attn_jax.interop.kernels` has the rules by which
:func:`attn_jax.hooks.tap_attention` knows fused kernels.
"""

from attn_jax.interop import kernels as kernels
from attn_jax.interop.named import named
from attn_jax.interop.pytorch import Bridged, open_torch

__all__ = ["Bridged", "named", "open_torch"]

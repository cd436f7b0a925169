"""Read and edit named values in any JAX function."""

from attn_jax.hooks.errors import HookError
from attn_jax.hooks.primitive import DerivedTap, tap, tap_derived

__all__ = ["DerivedTap", "HookError", "tap", "tap_derived"]

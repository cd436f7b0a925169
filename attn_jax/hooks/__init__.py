"""Read and edit named values inside any JAX function."""

from attn_jax.hooks.gradients import activation_grads
from attn_jax.hooks.patching import patch
from attn_jax.hooks.patterns import HookError
from attn_jax.hooks.plan import Site
from attn_jax.hooks.points import FoundAttention, HookPoint
from attn_jax.hooks.reducers import SiteReducer, entropy, mean_heads, row_blocked, top_k
from attn_jax.hooks.tap import DerivedTap, tap, tap_derived
from attn_jax.hooks.tap_attention import find_attention, tap_attention
from attn_jax.hooks.transforms import capture, hook_points, intervene

__all__ = [
    "DerivedTap",
    "FoundAttention",
    "HookError",
    "HookPoint",
    "Site",
    "SiteReducer",
    "activation_grads",
    "capture",
    "entropy",
    "find_attention",
    "hook_points",
    "intervene",
    "mean_heads",
    "patch",
    "row_blocked",
    "tap",
    "tap_attention",
    "tap_derived",
    "top_k",
]

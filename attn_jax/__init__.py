"""Attention one can see, edit and trust, in JAX and Flax.

The packages, each usable alone: :mod:`attn_jax.hooks` (read and edit named values in any JAX
function), :mod:`attn_jax.ops` (attention as pure functions), :mod:`attn_jax.nn` (the same as Flax
modules), :mod:`attn_jax.models`, :mod:`attn_jax.tasks`, :mod:`attn_jax.train` and
:mod:`attn_jax.plot`.
"""

__version__ = "0.1.0"

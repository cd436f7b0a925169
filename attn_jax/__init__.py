"""See, edit and trust attention in JAX and Flax.

Each package can be used on its own: :mod:`attn_jax.hooks` reads and edits named values in any JAX
function, :mod:`attn_jax.ops` has attention as pure functions, :mod:`attn_jax.nn` as Flax modules,
:mod:`attn_jax.models` whole networks, :mod:`attn_jax.tasks` data, :mod:`attn_jax.train` training,
:mod:`attn_jax.measure` numbers about attention, :mod:`attn_jax.plot` pictures of it, and
:mod:`attn_jax.interop` names for the models of other libraries.
"""

__version__ = "0.1.0"

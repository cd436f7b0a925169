"""Zeros shaped like abstract values."""

import functools
from collections.abc import Iterable

import jax
import jax.numpy as jnp
from jax import Array, lax


def zeros_like(shape: jax.ShapeDtypeStruct) -> Array:
    """Return zeros like an abstract value, laid out over a mesh in the same way."""
    array = jnp.zeros(shape.shape, shape.dtype)
    if varying := _varying_axes(shape):
        return _vary(array, tuple(varying))
    # Only meshes with explicit axes leave names in the types of arrays.
    is_explicit = any(axis is not None for axis in getattr(shape.sharding, "spec", ()))
    return jax.sharding.reshard(array, shape.sharding) if is_explicit else array


# The first versions of JAX with varying axes know both by other names.
_vary = functools.partial(lax.pcast, to="varying") if hasattr(lax, "pcast") else vars(lax)["pvary"]


def _varying_axes(shape: jax.ShapeDtypeStruct) -> Iterable[str]:
    manual = getattr(shape, "manual_axis_type", None)
    return (manual.varying if manual else getattr(shape, "vma", None)) or ()

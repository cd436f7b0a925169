"""Values on the way between PyTorch and JAX."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from attn_jax.interop.pytorch.packages import packages

_SHARED = ("float32", "float16", "bfloat16")


def array_of(tensor: Any) -> Array:
    """Return a tensor as an array, in the same memory where JAX can use it."""
    tensor = tensor.detach()
    if str(tensor.dtype).removeprefix("torch.") in _SHARED:
        array = jax.dlpack.from_dlpack(tensor.contiguous())
    else:
        array = jnp.asarray(tensor.cpu().numpy())
    is_there = jax.default_backend() in {device.platform for device in array.devices()}
    return array if is_there else jax.device_put(array, jax.local_devices()[0])


def tensors_of(values: Any, env: Any) -> Any:
    """Return a tree of arguments with tensors of the environment in the place of arrays."""

    def convert(value):
        if isinstance(value, packages().torch.Tensor):
            return env.j2t_iso(array_of(value))
        is_array = isinstance(value, jax.Array | np.ndarray)
        return env.j2t_iso(jnp.asarray(value)) if is_array else value

    return jax.tree.map(convert, values)


def arrays_of(output: Any) -> Any:
    """Return the tensors of an output as arrays: one, a tuple, or a dictionary by their names.

    What is no tensor is left out.
    """
    if isinstance(output, packages().torch.Tensor):
        return output.jax()
    if isinstance(output, Mapping):
        items = {name: arrays_of(value) for name, value in output.items()}
        return {name: value for name, value in items.items() if value is not None} or None
    if isinstance(output, list | tuple):
        return tuple(x for x in map(arrays_of, output) if x is not None) or None
    return None

"""NumPy arrays from lists, JAX arrays and tensors of other libraries."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def as_array(values: Any, name: str = "weights") -> NDArray:
    """Return numbers of any library as one NumPy array.

    A tensor that needs gradients is detached; a type that NumPy lacks, such as bfloat16, is
    converted to one that holds its values. A list or tuple of arrays is stacked.

    Args:
        values: Array, tensor or nested sequence of them.
        name: Name of the argument, for the error.

    Returns:
        Array of booleans, integers or floats.

    Raises:
        ValueError: If it is not an array of numbers, or its parts differ in shape.

    Example:
        >>> from attn_jax.plot.arrays import as_array
        >>> as_array(([0.5, 0.5], (1, 0))).tolist()
        [[0.5, 0.5], [1.0, 0.0]]
    """
    return _numbers(raw_array(values, name), name)


def raw_array(values: Any, name: str = "weights") -> NDArray:
    """Return numbers of any library as one NumPy array, in their own type, such as bfloat16.

    Args:
        values: As in `as_array`.
        name: Name of the argument, for the error.

    Raises:
        ValueError: As in `as_array`.
    """
    if values is None:
        raise ValueError(
            f"{name} is None: the model returned no weights. Fused kernels such as PyTorch's sdpa "
            "have none to return; load the model with attn_implementation='eager' and call it with "
            "output_attentions=True."
        )
    if isinstance(values, list | tuple) and any(map(_is_part, values)):
        return _stacked([as_array(part, f"{name}[{i}]") for i, part in enumerate(values)], name)
    try:
        array = _read(values)
    except (TypeError, ValueError) as error:
        kind = type(values).__name__
        raise ValueError(f"{name} of type {kind} is not an array of numbers: {error}") from error
    if array.dtype.kind not in "biufV":
        kind = type(values).__name__
        raise ValueError(
            f"{name} of type {kind} is not an array of numbers: its elements are {array.dtype}."
        )
    return array


def _is_part(value: Any) -> bool:
    return value is None or isinstance(value, list | tuple) or hasattr(value, "shape")


def _stacked(parts: Sequence[NDArray], name: str) -> NDArray:
    shapes = list(dict.fromkeys(part.shape for part in parts))
    if len(shapes) > 1:
        raise ValueError(
            f"the parts of {name} differ in shape: {', '.join(map(str, shapes))}. Pass one of "
            f"them, as in {name}[0]; plot.viewer also takes layers that differ, and the steps of a "
            "generation."
        )
    return np.stack(parts)


def _read(values: Any) -> NDArray:
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        try:
            return np.asarray(values)
        except TypeError:  # NumPy has no bfloat16
            return np.asarray(values.float())
    array = np.asarray(values)
    if array.dtype == object and hasattr(values, "__dlpack__"):
        return np.from_dlpack(values)
    return array


def _numbers(array: NDArray, name: str) -> NDArray:
    if array.dtype.kind != "V":
        return array
    try:
        return array.astype(np.float32)  # which holds the floats of JAX that NumPy lacks
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is not an array of numbers: {error}") from error

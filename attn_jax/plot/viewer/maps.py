"""What was captured, whatever its form, as a list of layers of maps."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attn_jax.plot.checks import weights_array

# A label for all maps, or some for the layers of each name.
Labels = Sequence[object] | Mapping[str, Sequence[object]]

_RANKS = {2: "(queries, keys)", 3: "(heads, queries, keys)", 4: "(layers, heads, queries, keys)"}


class Layer(NamedTuple):
    """The maps of one attention.

    Attributes:
        name: The hook point that gave them.
        weights: ``(heads, queries, keys)``.
    """

    name: str
    weights: NDArray[np.float32]


def is_summary(value: object) -> bool:
    """Tells an ``AttentionSummary`` by its fields."""
    return hasattr(value, "log_normalizer") and hasattr(value, "pooled")


def layers(weights: Any, example: int | None, *, normalized: bool) -> list[Layer]:
    """Gives the layers of whatever :func:`attn_jax.plot.viewer` takes.

    Args:
        weights: An array, or arrays by name as ``capture`` returns them.
        example: Which of a batch to show; the only one by default.
        normalized: Whether each row must sum to one.

    Returns:
        The layers in the order given.

    Raises:
        ValueError: If there is none, or it holds no weights.
    """
    if not isinstance(weights, Mapping):
        return _of_array(np.asarray(weights), example, normalized)
    return [
        layer
        for name, array in weights.items()
        for layer in _captured(str(name), np.asarray(array), example, normalized)
    ]


def _of_array(array: NDArray, example: int | None, normalized: bool) -> list[Layer]:
    if example is not None or array.ndim == 5:
        return _captured("layer", array, example, normalized)
    if array.ndim not in _RANKS:
        wanted = ", ".join(_RANKS.values())
        raise ValueError(f"weights has shape {array.shape}; one of {wanted} is needed.")
    array = array.reshape((1,) * (4 - array.ndim) + array.shape)
    return [_layer(f"layer {i}", maps, "weights", normalized) for i, maps in enumerate(array)]


def _captured(name: str, array: NDArray, example: int | None, normalized: bool) -> list[Layer]:
    """Takes ``(*layers, batch, heads, queries, keys)`` apart; fewer axes lack the first ones."""
    if not 2 <= array.ndim <= 5:
        raise ValueError(
            f"{name!r} has shape {array.shape}; (batch, heads, queries, keys) is needed, "
            "with fewer axes or with one for the layers of a scan before them."
        )
    if array.ndim > 3 or example is not None:
        axis = 1 if array.ndim == 5 else 0
        array = array.take(one_of(name, array.shape, axis, example), axis)
    if array.ndim == 4:
        return [_layer(f"{name}[{i}]", maps, name, normalized) for i, maps in enumerate(array)]
    return [_layer(name, array.reshape((-1, *array.shape[-2:])), name, normalized)]


def one_of(name: str, shape: tuple[int, ...], axis: int, example: int | None) -> int:
    """Gives which of a batch to show.

    Raises:
        ValueError: If there are several and none is chosen, or there is no such one.
    """
    count = shape[axis]
    if example is None and count == 1:
        return 0
    if example is None or not -count <= example < count:
        chosen = "which is not said" if example is None else f"not the one of example={example}"
        raise ValueError(
            f"{name!r} of shape {shape} holds {count} examples, {chosen}; "
            f"choose one by example=0 to {count - 1}."
        )
    return example


def _layer(name: str, maps: NDArray, source: str, normalized: bool) -> Layer:
    checked = weights_array(maps, ("heads", "queries", "keys"), whole=normalized, name=source)
    return Layer(name, checked.astype(np.float32))

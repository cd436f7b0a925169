"""Masks of the maps of a viewer: which cells no query may attend to."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attn_jax.plot.arrays import as_array
from attn_jax.plot.viewer import encode
from attn_jax.plot.viewer.maps import Layer, one_of

# The largest weight at a hidden cell that is taken for a rounding error.
_ROUNDING = 1e-6


def masks_of(mask: Any, layers: list[Layer], example: int | None) -> dict[str, NDArray[np.bool_]]:
    """Return the cells that may be attended to, for each layer that a mask is given for.

    Args:
        mask: Booleans, True where a query may attend to a key: `(keys,)`, `(queries, keys)`,
            `(heads, queries, keys)` or `(batch, heads, queries, keys)`, with axes of one where all
            share them; or a dictionary of these by name of the layer.
        layers: The maps.
        example: Example of a batch to show.

    Returns:
        By name of the layer, `(heads, queries, keys)`; heads may be one.

    Raises:
        ValueError: If a mask does not fit its layer, or hides a weight that is not zero.
    """
    if mask is None:
        return {}
    if not isinstance(mask, Mapping):
        return {layer.name: _mask(mask, layer, example, "mask") for layer in layers}
    names = [layer.name for layer in layers]
    for name in mask:
        if name not in names:
            known = ", ".join(map(repr, names))
            raise ValueError(f"mask names {name!r}; the layers it can name are: {known}.")
    return {
        layer.name: _mask(mask[layer.name], layer, example, f"mask[{layer.name!r}]")
        for layer in layers
        if layer.name in mask
    }


def _mask(mask: Any, layer: Layer, example: int | None, argument: str) -> NDArray[np.bool_]:
    array = as_array(mask, argument)
    if array.dtype != bool and not np.isin(array, (0, 1)).all():
        raise ValueError(
            f"{argument} holds numbers other than 0 and 1; give booleans, True where a query may "
            "attend to a key (for a bias: bias > -inf)."
        )
    shape, array = array.shape, array.astype(bool)
    if array.ndim == 4:
        index = 0 if shape[0] == 1 else one_of(argument, shape, 0, example)
        array = array[index]
    heads, queries, keys = layer.weights.shape
    array = array.reshape((1,) * (3 - array.ndim) + array.shape) if array.ndim < 3 else array
    fits = array.ndim == 3 and all(
        size in (1, whole) for size, whole in zip(array.shape, layer.weights.shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f"{argument} has shape {shape}, but the maps of {layer.name!r} are ({heads} heads, "
            f"{queries} queries, {keys} keys); give (keys,), (queries, keys) or (heads, queries, "
            "keys), or masks by layer name."
        )
    whole = np.broadcast_to(array, (len(array), queries, keys))
    _check_hidden(whole, layer, argument)
    return whole


def _check_hidden(mask: NDArray[np.bool_], layer: Layer, argument: str) -> None:
    hidden = np.where(mask, 0, layer.weights)
    head, query, key = np.unravel_index(hidden.argmax(), hidden.shape)
    if (weight := hidden[head, query, key]) > _ROUNDING:
        raise ValueError(
            f"{argument} hides key {key} from query {query}, but head {head} of {layer.name!r} "
            f"gives it {weight:.3g}; True means that a query may attend to a key."
        )


def encode_mask(mask: NDArray[np.bool_]) -> str:
    """Encode the hidden cells of one map, `(queries, keys)`, as bits."""
    return encode.text(np.packbits(~mask).tobytes(), repeats=True)

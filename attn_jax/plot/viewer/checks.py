"""Checks of labels, measures and images against the maps of a viewer."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import index
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attn_jax.plot.arrays import as_array
from attn_jax.plot.checks import check_grid
from attn_jax.plot.images import read_image
from attn_jax.plot.labels import label_text, read_labels
from attn_jax.plot.overlay import square_grid

_MOST_PIXELS = 1024


def check_some(count: int) -> None:
    """Refuse an empty capture.

    Raises:
        ValueError: If `count` is zero.
    """
    if not count:
        raise ValueError(
            "the capture is empty: 0 maps, at least 1 is needed; "
            "hook_points(fn)(*args) lists the names that capture can read."
        )


def labels_of(
    labels: Sequence[object] | Mapping[str, Sequence[object]] | None,
    layer: str,
    argument: str,
    axis: str,
    shape: tuple[int, ...],
    first: int = 0,
) -> list[str] | None:
    """Return the labels of one side of a layer's maps.

    Args:
        labels: Labels for all layers, or by layer name.
        layer: Name of the layer.
        argument: Name of the argument, for the error.
        axis: `"queries"` or `"keys"`.
        shape: Shape of the map, `(queries, keys)`.
        first: Number of labels of keys before the first query, where the queries are the last keys.

    Returns:
        The labels as text, or None without labels.

    Raises:
        ValueError: If there is not one label per token.
    """
    chosen = labels.get(layer) if isinstance(labels, Mapping) else labels
    if chosen is None:
        return None
    size = shape[axis == "keys"]
    if first and len(chosen) == shape[1]:
        chosen = chosen[first:]
    if len(chosen) != size:
        raise ValueError(
            f"{argument} has {len(chosen)} labels, but the maps of {layer!r} have {size} {axis}; "
            f"give labels by layer, as in {argument}={{{layer!r}: [...]}}."
        )
    return read_labels(chosen)


def check_measure(name: str, values: ArrayLike, maps: int) -> list[float]:
    """Return a measure as one number for each map.

    Raises:
        ValueError: If there is not one finite number for each map.
    """
    array = np.asarray(as_array(values, f"measures[{name!r}]"), np.float64).ravel()
    if array.size != maps:
        raise ValueError(f"measures[{name!r}] has {array.size} values, but there are {maps} maps.")
    if not np.isfinite(array).all():
        place = int(np.flatnonzero(~np.isfinite(array))[0])
        raise ValueError(
            f"measures[{name!r}][{place}] = {array[place]:g} is not finite, so the heads cannot be "
            "sorted by it; leave the measure out, or replace the value."
        )
    return array.tolist()


def check_top_k(top_k: int) -> int:
    """Return the number of weights to store exactly.

    Raises:
        ValueError: If it is less than one.
    """
    if top_k < 1:
        raise ValueError(
            f"top_k={top_k} must be at least 1: each row is scaled by its largest weight."
        )
    return index(top_k)


def check_axes_names(axes: str | Mapping[str, str] | None, names: Sequence[str]) -> None:
    """Refuse axes for arrays that do not exist.

    Args:
        axes: The axes, for all arrays or by name.
        names: The names of the arrays.

    Raises:
        ValueError: If `axes` names an unknown array, or all the weights are summaries.
    """
    if isinstance(axes, Mapping):
        check_names("axes", axes, names)
    elif axes and not names:
        raise ValueError(f"axes={axes!r}, but a summary knows its own axes; leave axes out.")


def check_example(example: int | None, layers: Sequence[Any], is_batch: bool) -> None:
    """Refuse an example if there is no batch to choose it from.

    Raises:
        ValueError: If neither an array nor the images have a batch axis.
    """
    if example is not None and not is_batch and not any("b" in layer.axes for layer in layers):
        readings = "; ".join(f"{layer.name!r}: {layer.reading}" for layer in layers)
        raise ValueError(
            f"example={example}, but nothing has a batch axis to choose from ({readings}); leave "
            "example out, or give axes with a 'b'."
        )


def check_names(argument: str, names: Iterable[object], known: Collection[object]) -> None:
    """Refuse names that no layer has.

    Raises:
        ValueError: If there is one.
    """
    for name in names:
        if name not in known:
            layers = ", ".join(map(repr, known)) or "none"
            raise ValueError(f"{argument} names {name!r}; the layers it can name are: {layers}.")


def check_same(
    name: str, shapes: Sequence[tuple[int, ...]], expected: Sequence[tuple[int, ...]]
) -> None:
    """Refuse maps to compare that have other shapes.

    Raises:
        ValueError: If the shapes differ.
    """
    if shapes != expected:
        raise ValueError(
            f"{name} has maps of shapes {shapes}, but weights has {expected}; give the same."
        )


def check_pair(name: str, values: Sequence[object]) -> tuple[str, str]:
    """Return two names as text.

    Raises:
        ValueError: If there are not two of them, or they are the same.
    """
    texts = [label_text(value) for value in values]
    if isinstance(values, str) or len(texts) != 2 or texts[0] == texts[1]:
        raise ValueError(f"{name}={values!r}; two different names are needed.")
    return texts[0], texts[1]


def check_links(
    name: str, links: ArrayLike | None, shapes: Sequence[tuple[int, int]]
) -> NDArray[np.bool_]:
    """Return gold links as booleans, all False without links.

    Raises:
        ValueError: If no map has their shape.
    """
    array = np.zeros(shapes[0], bool) if links is None else as_array(links, name).astype(bool)
    if array.shape not in shapes:
        known = ", ".join(map(str, dict.fromkeys(shapes)))
        raise ValueError(f"{name} has shape {array.shape}, but the maps have {known}.")
    return array


def check_image(
    image: NDArray, grid: tuple[int, int] | None, prefix_tokens: int, keys: Sequence[int]
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Return the image as bytes, and its grid of patches.

    Args:
        image: `(height, width)` or `(height, width, 1 or 3)`.
        grid: Rows and columns; a square by default.
        prefix_tokens: Number of tokens before the patches.
        keys: Number of keys of each map.

    Returns:
        `(height, width, 3)` and the grid.

    Raises:
        ValueError: If the image is not valid, the grid does not divide it, or no map has that many
            keys.
    """
    grid = grid or square_grid(keys[0] - prefix_tokens)
    cells = grid[0] * grid[1]
    if cells + prefix_tokens not in keys:
        raise ValueError(
            f"grid={grid} and prefix_tokens={prefix_tokens} make {cells + prefix_tokens} tokens, "
            f"but the maps have {', '.join(map(str, dict.fromkeys(keys)))} keys."
        )
    values = read_image(image, "images")
    check_grid(cells, grid, values.shape)
    colors = np.broadcast_to(np.atleast_3d(values), (*values.shape[:2], 3))
    return _no_larger(np.rint(colors * 255).astype(np.uint8)), (index(grid[0]), index(grid[1]))


def _no_larger(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Shrink an image to at most 1,024 pixels a side, each the mean of several."""
    factor = -(-max(image.shape[:2]) // _MOST_PIXELS)
    if factor == 1:
        return image
    height, width = (size // factor for size in image.shape[:2])
    blocks = image[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    return np.rint(blocks.mean((1, 3))).astype(np.uint8)

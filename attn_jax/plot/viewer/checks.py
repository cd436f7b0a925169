"""What the viewer refuses: labels, measures and images that do not fit the maps."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import index
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attn_jax.plot.arrays import as_array
from attn_jax.plot.checks import check_grid
from attn_jax.plot.figure import label_text
from attn_jax.plot.images import read_image
from attn_jax.plot.overlay import square_grid


def check_some(count: int) -> None:
    """Refuses an empty capture.

    Raises:
        ValueError: If ``count`` is zero.
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
) -> list[str] | None:
    """Gives the labels of one side of a layer's maps.

    Args:
        labels: For all layers, or by their names.
        layer: The layer's name.
        argument: What the caller named the labels.
        axis: ``"queries"`` or ``"keys"``.
        shape: Of the map, ``(queries, keys)``.

    Returns:
        The labels as text, or None where there are none.

    Raises:
        ValueError: If there is another number of them than of tokens.
    """
    chosen = labels.get(layer) if isinstance(labels, Mapping) else labels
    if chosen is None:
        return None
    size = shape[axis == "keys"]
    if len(chosen) != size:
        raise ValueError(
            f"{argument} has {len(chosen)} labels, but the maps of {layer!r} have {size} {axis}; "
            f"name layers that differ, as in {argument}={{{layer!r}: [...]}}."
        )
    return [label_text(label) for label in chosen]


def check_measure(name: str, values: ArrayLike, maps: int) -> list[float]:
    """Gives a measure as one number for each map.

    Raises:
        ValueError: If there is another number of them.
    """
    array = np.asarray(as_array(values, f"measures[{name!r}]"), np.float64).ravel()
    if array.size != maps:
        raise ValueError(f"measures[{name!r}] has {array.size} values, but there are {maps} maps.")
    if not np.isfinite(array).all():
        worst = int(np.flatnonzero(~np.isfinite(array))[0])
        raise ValueError(
            f"measures[{name!r}][{worst}] = {array[worst]:g} is not finite, so the heads cannot be "
            "sorted by it; leave the measure out, or replace the value."
        )
    return array.tolist()


def check_top_k(top_k: int) -> int:
    """Refuses a number of weights to keep that is none.

    Raises:
        ValueError: If it is less than one.
    """
    if top_k < 1:
        raise ValueError(f"top_k={top_k}, but a row's scale is its largest weight: 1 is the least.")
    return index(top_k)


def check_axes_names(axes: str | Mapping[str, str] | None, weights: Any) -> None:
    """Refuse axes of arrays that were not given.

    Raises:
        ValueError: If `axes` names an array that there is not, or all the weights are summaries.
    """
    names = [*map(str, weights)] if isinstance(weights, Mapping) else ["weights"]
    if isinstance(axes, Mapping):
        check_names("axes", axes, names)
    elif axes and not names:
        raise ValueError(f"axes={axes!r}, but a summary knows its own axes; leave axes out.")


def check_example(example: int | None, layers: Sequence[Any], is_batch: bool) -> None:
    """Refuse a choice out of a batch where there is none.

    Raises:
        ValueError: If neither an array nor the images have a batch axis.
    """
    if example is not None and not is_batch and not any("b" in layer.axes for layer in layers):
        readings = "; ".join(f"{layer.name!r}: {layer.reading}" for layer in layers)
        raise ValueError(
            f"example={example}, but nothing has a batch axis to choose from ({readings}); leave "
            "example out, or give axes with a 'b'."
        )


def check_names(argument: str, given: Iterable[object], known: Collection[object]) -> None:
    """Refuses names that no layer has.

    Raises:
        ValueError: If there is one.
    """
    for name in given:
        if name not in known:
            there = ", ".join(map(repr, known)) or "none"
            raise ValueError(f"{argument} names {name!r}; the layers that it can name: {there}.")


def check_same(
    name: str, shapes: Sequence[tuple[int, ...]], expected: Sequence[tuple[int, ...]]
) -> None:
    """Refuses maps to compare with that have other shapes.

    Raises:
        ValueError: If the shapes differ.
    """
    if shapes != expected:
        raise ValueError(f"{name} has maps of shapes {shapes}, weights {expected}; give the same.")


def check_links(
    name: str, links: ArrayLike | None, shapes: Sequence[tuple[int, int]]
) -> NDArray[np.bool_]:
    """Gives gold links as booleans, none where there are none.

    Raises:
        ValueError: If no map has their shape.
    """
    array = np.zeros(shapes[0], bool) if links is None else as_array(links, name).astype(bool)
    if array.shape not in shapes:
        there = ", ".join(map(str, dict.fromkeys(shapes)))
        raise ValueError(f"{name} has shape {array.shape}, but the maps {there}; give one of them.")
    return array


def check_image(
    image: NDArray, grid: tuple[int, int] | None, prefix_tokens: int, keys: Sequence[int]
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Gives the image as bytes, and its grid of patches.

    Args:
        image: ``(height, width)`` or ``(height, width, 1 or 3)``.
        grid: Rows and columns; a square by default.
        prefix_tokens: How many tokens come before the patches.
        keys: How many keys the maps have.

    Returns:
        ``(height, width, 3)`` and the grid.

    Raises:
        ValueError: If the image is none, the grid does not divide it, or no map has so many keys.
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
    return np.rint(colors * 255).astype(np.uint8), (index(grid[0]), index(grid[1]))

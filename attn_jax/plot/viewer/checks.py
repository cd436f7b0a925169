"""What the viewer refuses: labels, measures and images that do not fit the maps."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attn_jax.plot.checks import check_grid, grey_image
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
    return [str(label) for label in chosen]


def check_measure(name: str, values: ArrayLike, maps: int) -> list[float]:
    """Gives a measure as one number for each map.

    Raises:
        ValueError: If there is another number of them.
    """
    array = np.asarray(values, np.float64).ravel()
    if array.size != maps:
        raise ValueError(f"measures[{name!r}] has {array.size} values, but there are {maps} maps.")
    return array.tolist()


def check_top_k(top_k: int) -> None:
    """Refuses a number of weights to keep that is none.

    Raises:
        ValueError: If it is less than one.
    """
    if top_k < 1:
        raise ValueError(f"top_k={top_k}, but a row's scale is its largest weight: 1 is the least.")


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
    array = np.zeros(shapes[0], bool) if links is None else np.asarray(links, bool)
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
    grey = grey_image(image)
    check_grid(cells, grid, grey.shape)
    if image.ndim == 2 or image.shape[-1] == 1:
        image = np.repeat(grey[..., None], 3, -1)
    if np.issubdtype(image.dtype, np.integer):
        return image.astype(np.uint8), grid
    low, high = min(image.min(), 0), max(image.max(), 1)
    return np.rint((image - low) * (255 / (high - low))).astype(np.uint8), grid

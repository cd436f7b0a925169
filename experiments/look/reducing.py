"""Maps of long texts with fewer cells, so that a page stays small."""

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

CELLS = 1_500_000
"""The most weights that the viewers of a page hold: one takes half a byte to a byte."""

_SHARE = 0.6
"""The chosen layer's share of them at most, where not all fit."""


class Maps(NamedTuple):
    """The maps of a viewer.

    Attributes:
        layers: The weights, `(heads, queries, keys)`, by name of layer.
        labels: The labels of queries and keys, by name of layer.
        note: What was reduced, in words; empty if nothing was.
    """

    layers: dict[str, np.ndarray]
    labels: dict[str, list[str]]
    note: str


def fit(
    layers: Mapping[str, np.ndarray], tokens: Sequence[str], chosen: int, room: int = CELLS
) -> Maps:
    """Return the maps as they are if they fit, else in tiles, the chosen layer's in smaller ones.

    A tile's row is the mean of some tokens' rows, its column the sum of what some receive, so that
    rows still sum to one.

    Args:
        layers: The weights of one text, `(heads, tokens, tokens)`, by name of layer.
        tokens: Its tokens.
        chosen: The number of the layer that is kept as fine as possible; negative ones count from
            the last.
        room: The number of weights that there is room for; those of zero take none.
    """
    names, (heads, count, _) = list(layers), next(iter(layers.values())).shape
    filled = sum(np.count_nonzero(maps) for maps in layers.values())
    if filled <= room:
        return Maps(dict(layers), {name: list(tokens) for name in names}, "")
    density = filled / (len(names) * heads * count**2)
    share = room if len(names) == 1 else _SHARE * room
    own = min(count, int((share / (density * heads)) ** 0.5))
    rest = max(len(names) - 1, 1) * density * heads
    others = min(own, int(((room - density * heads * own**2) / rest) ** 0.5))
    tiles = {name: own if i == chosen % len(names) else others for i, name in enumerate(names)}
    return Maps(
        {name: mean_tiles(maps, tiles[name]) for name, maps in layers.items()},
        {name: tile_labels(tokens, tiles[name]) for name in names},
        _note(names[chosen], count, own, others if len(names) > 1 else own),
    )


def _note(name: str, tokens: int, own: int, others: int) -> str:
    tiles, rest = f"{own} × {own} tiles", f"the other layers as {others} × {others} tiles"
    if own == tokens:
        stored = f"{name.capitalize()} is stored token by token, {rest}"
    elif own == others:
        stored = f"The maps are stored as {tiles}"
    else:
        stored = f"{name.capitalize()} is stored as {tiles}, {rest}"
    return (
        f"The text has {tokens} tokens. {stored}: a tile's row is the mean of its tokens' rows, "
        "its column the sum of what its tokens receive. --layer keeps another layer as fine as "
        "possible, and --save-captured stores every weight."
    )


def tile_starts(size: int, tiles: int) -> np.ndarray:
    """Return where each of some tiles of nearly equal size begins."""
    return np.arange(tiles) * size // tiles


def tile_labels(tokens: Sequence[str], tiles: int) -> list[str]:
    """Return a label for each tile: its first and last token.

    Example:
        >>> from experiments.look.reducing import tile_labels
        >>> tile_labels(["The", "cat", "sat", "down", "."], 2)
        ['The…cat', 'sat….']
    """
    starts = [*tile_starts(len(tokens), tiles).tolist(), len(tokens)]
    spans = [tokens[start:end] for start, end in itertools.pairwise(starts)]
    return [span[0] if len(span) == 1 else f"{span[0]}…{span[-1]}" for span in spans]


def mean_tiles(maps: np.ndarray, tiles: int) -> np.ndarray:
    """Return maps `(..., n, n)` as tiles: means over queries of sums over keys."""
    starts = tile_starts(maps.shape[-1], tiles)
    sums = np.add.reduceat(np.add.reduceat(maps, starts, axis=-1), starts, axis=-2)
    return sums / np.diff([*starts, maps.shape[-1]])[:, None].astype(maps.dtype)


def largest_tiles(maps: np.ndarray, tiles: int) -> np.ndarray:
    """Return maps `(..., n, n)` as tiles, each with its largest weight."""
    starts = tile_starts(maps.shape[-1], tiles)
    return np.maximum.reduceat(np.maximum.reduceat(maps, starts, axis=-2), starts, axis=-1)

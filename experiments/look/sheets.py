"""The figures of texts and their attention, for the page."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from attn_jax import plot
from experiments.look.look import Choice
from experiments.look.reducing import CELLS, fit, largest_tiles, mean_tiles, tile_starts
from experiments.report import Sheet
from experiments.report.figure_words import viewer_label, viewer_labels

_LONG = 64
"""The most tokens whose maps are drawn cell by cell in the figure of every head."""

_HEADS_CELLS = 180_000
"""The most cells of that figure, of all maps of a page together."""

_MAP_CELLS = 65_536
"""The most cells of the figures of one map, of all texts together."""


class Reading(NamedTuple):
    """One text with its attention, without padding.

    Attributes:
        number: `""` for a text alone, `"-1"` or `"-2"` for one of two.
        title: The name of the text on the page.
        text: The text.
        tokens: Its tokens.
        layers: The weights, `(heads, tokens, tokens)`, by name of layer.
    """

    number: str
    title: str
    text: str
    tokens: list[str]
    layers: dict[str, np.ndarray]


def draw_sheets(readings: Sequence[Reading], choice: Choice) -> Iterator[Sheet]:
    """Draw the figures of one or two texts, two of equal length side by side first.

    Args:
        readings: The texts with their attention.
        choice: The map in the figures.

    Yields:
        The figures in their order on the page.
    """
    lengths = {len(reading.tokens) for reading in readings}
    is_compared = len(readings) == 2 and len(lengths) == 1
    # The comparison holds the maps of both texts once more.
    room = CELLS // (4 if is_compared else len(readings))
    if is_compared:
        yield _comparison(readings[0], readings[1], choice, room)
    for reading in readings:
        yield _viewer(reading, choice, room)
    for reading in readings:
        yield _map(reading, choice, int((_MAP_CELLS / len(readings)) ** 0.5))
    for reading in readings:
        maps = sum(map(len, reading.layers.values())) * len(readings)
        yield _heads(reading, min(_LONG, int((_HEADS_CELLS / maps) ** 0.5)))


def _comparison(first: Reading, second: Reading, choice: Choice, room: int) -> Sheet:
    pairs = zip(first.tokens, second.tokens, strict=True)
    tokens = [one if one == other else f"{one} / {other}" for one, other in pairs]
    maps = fit(first.layers, tokens, choice.layer, room)
    others = {
        name: mean_tiles(weights, len(maps.labels[name])) for name, weights in second.layers.items()
    }
    view = plot.viewer(
        viewer_labels(maps.layers),
        axes="hqk",
        tokens=viewer_labels(maps.labels),
        compare=viewer_labels(others if maps.note else second.layers),
        compare_names=(viewer_label("text 1"), viewer_label("text 2")),
        title=viewer_label("Text 1 and text 2"),
    )
    return Sheet(
        "compare",
        "Text 1 and text 2",
        "The same head on both texts, and the difference. Choose a layer and a head, and point at "
        f"a cell; the tokens are paired by position. {maps.note}".strip(),
        view.select(view="compare", **_selection(choice)),
    )


def _viewer(reading: Reading, choice: Choice, room: int) -> Sheet:
    maps = fit(reading.layers, reading.tokens, choice.layer, room)
    layers, labels = viewer_labels(maps.layers), viewer_labels(maps.labels)
    view = plot.viewer(layers, axes="hqk", tokens=labels, title=_short(reading.text))
    has_several = sum(map(len, reading.layers.values())) > 1
    return Sheet(
        f"viewer{reading.number}",
        _titled("Look around", reading),
        "Click a head to open its map. Under Tokens, point at a word to see what it attends to and "
        f"what attends to it. {maps.note}".strip(),
        view.select(view="overview" if has_several else "matrix", **_selection(choice)),
    )


def _map(reading: Reading, choice: Choice, most: int) -> Sheet:
    name, weights = list(reading.layers.items())[choice.layer]
    head = f"mean of {len(weights)} heads" if choice.head is None else f"head {choice.head}"
    chosen = weights.mean(0) if choice.head is None else weights[choice.head]
    tokens = reading.tokens
    caption = (
        "Each row is a token that attends, each column a token that is attended to. "
        "--layer and --head choose another map."
    )
    if len(tokens) > most:
        starts = tile_starts(len(tokens), most)
        chosen, tokens = largest_tiles(chosen, most), [tokens[start] for start in starts]
        caption += (
            f" It is cut into {most} × {most} tiles, each as dark as its largest weight and "
            "labeled with its first token."
        )
    darkest = None
    if len(tokens) > _LONG:
        # A few large weights, often those of the first token, would leave all others white.
        darkest = float(np.quantile(chosen, 0.99))
        caption += " The darkest color stands for the largest hundredth of the weights."
    return Sheet(
        f"map{reading.number}",
        _titled(f"{name.capitalize()}, {head}", reading),
        caption,
        plot.heatmap(chosen, queries=tokens, keys=tokens, vmax=darkest, normalized=False),
    )


def _heads(reading: Reading, most: int) -> Sheet:
    layers, caption = list(reading.layers.values()), "All maps on one color scale."
    if len(reading.tokens) > most:
        layers = [largest_tiles(weights, most) for weights in layers]
        caption += (
            f" Each map is cut into {most} × {most} tiles, each as dark as its largest weight."
        )
    return Sheet(
        f"heads{reading.number}",
        _titled("Every head", reading),
        caption,
        plot.heads(np.stack(layers), normalized=False),
    )


def _selection(choice: Choice) -> dict[str, int | str]:
    return {"layer": choice.layer, "head": "mean" if choice.head is None else choice.head}


def _titled(title: str, reading: Reading) -> str:
    return f"{title}: {reading.title.lower()}" if reading.number else title


def _short(text: str, length: int = 80) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else f"{text[: length - 1]}…"

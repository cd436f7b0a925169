"""The figures of texts and their attention, for the page."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from attn_jax import plot
from experiments.look.look import Choice
from experiments.report import Sheet

_LONG = 64
"""The most tokens whose maps are drawn cell by cell in the figure of every head."""


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
    if len(readings) == 2 and len(lengths) == 1:
        yield _comparison(readings[0], readings[1], choice)
    for draw in (_viewer, _map, _heads):
        for reading in readings:
            yield draw(reading, choice)


def _comparison(first: Reading, second: Reading, choice: Choice) -> Sheet:
    pairs = zip(first.tokens, second.tokens, strict=True)
    view = plot.viewer(
        first.layers,
        axes="hqk",
        tokens=[one if one == other else f"{one} / {other}" for one, other in pairs],
        compare=second.layers,
        compare_names=("text 1", "text 2"),
        title="Text 1 and text 2",
    )
    return Sheet(
        "compare",
        "Text 1 and text 2",
        "The same head on both texts, and the difference. Choose a layer and a head, and point at "
        "a cell; the tokens are paired by position.",
        view.select(view="compare", **_selection(choice)),
    )


def _viewer(reading: Reading, choice: Choice) -> Sheet:
    view = plot.viewer(
        reading.layers, axes="hqk", tokens=reading.tokens, title=_short(reading.text)
    )
    has_several = sum(map(len, reading.layers.values())) > 1
    return Sheet(
        f"viewer{reading.number}",
        _titled("Look around", reading),
        "Click a head to open its map. Under Tokens, point at a word to see what it attends to and "
        "what attends to it.",
        view.select(view="overview" if has_several else "matrix", **_selection(choice)),
    )


def _map(reading: Reading, choice: Choice) -> Sheet:
    name, weights = list(reading.layers.items())[choice.layer]
    head = f"mean of {len(weights)} heads" if choice.head is None else f"head {choice.head}"
    chosen = weights.mean(0) if choice.head is None else weights[choice.head]
    caption = (
        "Each row is a token that attends, each column a token that is attended to. "
        "--layer and --head choose another map."
    )
    darkest = None
    if len(reading.tokens) > _LONG:
        # A few large weights, often those of the first token, would leave all others white.
        darkest = float(np.quantile(chosen, 0.99))
        caption += " The darkest color stands for the largest hundredth of the weights."
    return Sheet(
        f"map{reading.number}",
        _titled(f"{name.capitalize()}, {head}", reading),
        caption,
        plot.heatmap(chosen, queries=reading.tokens, keys=reading.tokens, vmax=darkest),
    )


def _heads(reading: Reading, choice: Choice) -> Sheet:
    maps, caption = np.stack([*reading.layers.values()]), "All maps on one color scale."
    if len(reading.tokens) > _LONG:
        maps = _largest_of_tiles(maps)
        caption += (
            f" Each map is cut into {_LONG} × {_LONG} tiles, each as dark as its largest weight."
        )
    return Sheet(
        f"heads{reading.number}",
        _titled("Every head", reading),
        caption,
        plot.heads(maps, normalized=False),
    )


def _largest_of_tiles(maps: np.ndarray) -> np.ndarray:
    starts = np.arange(_LONG) * maps.shape[-1] // _LONG
    return np.maximum.reduceat(np.maximum.reduceat(maps, starts, axis=-2), starts, axis=-1)


def _selection(choice: Choice) -> dict[str, int | str]:
    return {"layer": choice.layer, "head": "mean" if choice.head is None else choice.head}


def _titled(title: str, reading: Reading) -> str:
    return f"{title}: {reading.title.lower()}" if reading.number else title


def _short(text: str, length: int = 80) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else f"{text[: length - 1]}…"

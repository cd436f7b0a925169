"""A drawing of texts, each word above its share of the attention, with the evidence framed."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attn_jax.plot.colors import ATTENTION, INK, MUTED, ON_DARK, RIGHT, TRUTH, WRONG

_COLUMNS = 138
_LINE = 0.26
_DARK = 0.5


class Marked(NamedTuple):
    """Words with their attention and their truth.

    Attributes:
        title: A line above them.
        is_right: Whether the model was right, which colors the title.
        words: The words, or whole sentences.
        weights: The attention to each, (k,).
        truth: True for those that decide, (k,).
        breaks: Whether each stands on a line of its own.
    """

    title: str
    is_right: bool
    words: Sequence[str]
    weights: np.ndarray
    truth: np.ndarray
    breaks: bool = False


def draw_marked(texts: Sequence[Marked]) -> Figure:
    """Draw texts below each other.

    Args:
        texts: The texts.

    Returns:
        The figure.
    """
    places = [_place(text) for text in texts]
    heights = [1.7 + max(line for line, _ in each) for each in places]
    figure = Figure(figsize=(9.2, _LINE * sum(heights)), layout="constrained")
    axes = figure.subplots(len(texts), 1, squeeze=False, height_ratios=heights)[:, 0]
    for ax, text, spots, height in zip(axes, texts, places, heights, strict=True):
        ax.set(xlim=(0, _COLUMNS), ylim=(height - 0.5, -0.7))
        ax.axis("off")
        color = RIGHT if text.is_right else WRONG
        ax.text(0, 0, text.title, color=color, fontsize=8, va="center")
        for number, spot in enumerate(spots):
            _draw_word(ax, text, number, spot)
    return figure


def _place(text: Marked) -> list[tuple[int, int]]:
    """Return the line, from 1, and the column of every word."""
    spots, line, column = [], 1, 0
    for word in text.words:
        if column and (text.breaks or column + len(word) > _COLUMNS):
            line, column = line + 1, 0
        spots.append((line, column))
        column += len(word) + 2
    return spots


def _draw_word(ax: Axes, text: Marked, number: int, spot: tuple[int, int]) -> None:
    weight, is_true = float(text.weights[number]), bool(text.truth[number])
    box = {
        "boxstyle": "round,pad=0.2",
        "facecolor": ATTENTION(weight),
        "edgecolor": TRUTH if is_true else "none",
        "linewidth": 1.8,
    }
    color = ON_DARK if weight > _DARK else INK if weight > 0.01 or is_true else MUTED
    line, column = spot
    style = {"family": "monospace", "fontsize": 7.5, "va": "center", "color": color}
    ax.text(column, line, text.words[number], bbox=box, **style)

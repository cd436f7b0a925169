"""Figures of visual questions: each round's attention to the picture and to the words."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from attn_jax import plot
from attn_jax.plot.colors import ATTENTION, INK, MUTED, ON_DARK, RIGHT, TRUTH, WRONG
from attn_jax.plot.overlay import draw_overlay
from experiments.report.figure_words import viewer_label
from experiments.report.figures import Sheet, Table, save_sheet

_DARK = 0.5
_WIDE = 34
_ROWS = (
    ("Answers right", "test/accuracy"),
    ("The most frequent answer in training to the same question", "test/question_only"),
    ("Answers right, new combinations of color and shape", "test/new"),
    ("Answers right, known combinations", "test/known"),
    ("The top cell is in a box that decides", "attention/pointing"),
    ("Weight in these boxes", "attention/mass"),
    ("The share of the cells in them, as equal weights would have it", "attention/area"),
    ("The top word is one that decides", "attention/word_pointing"),
    ("Weight on these words", "attention/word_mass"),
    ("Their share of the words", "attention/word_share"),
)


def save_looks(
    run: Path,
    task: Any,
    batch: Mapping[str, np.ndarray],
    looked: Any,
    grid: tuple[int, int],
    count: int,
) -> None:
    """Save the drawing of some questions, round by round, and one of them to explore.

    Args:
        run: The run's folder.
        task: The task, which knows words and answers.
        batch: Prepared test pictures.
        looked: What the model answers, and where it looks.
        grid: The rows and columns of cells.
        count: The number of questions to draw.
    """
    chosen = choose(looked.logits.argmax(-1), batch["label"], count)
    caption = (
        "Test questions, one that is answered wrongly first if there is any. To the right of each "
        "picture the attention of each round, from what has been seen so far to the words, and "
        "from there to the cells of the picture. What decides the answer is framed in green, where "
        "it is known. Training saw the answers alone."
    )
    figure = draw_looks(task, batch, looked, grid, chosen)
    save_sheet(run, Sheet("looks", "Where it looks for an answer", caption, figure))
    row, place = chosen[-1]
    question = task.pictures("test")[row].questions[place]
    viewer = plot.viewer(
        looked.cells[:, row, place][None],
        queries=[viewer_label(f"round {number + 1}") for number in range(len(looked.cells))],
        images=batch["image"][row],
        grid=grid,
        title=f"{' '.join(question.words)}?",
    )
    caption = "The last of these questions. Choose a round, and point at a cell."
    save_sheet(run, Sheet("viewer", "Look around", caption, viewer))


def save_scores(run: Path, last: Mapping[str, Any]) -> None:
    """Save a table of the scores in the last row of metrics."""
    rows = [(name, f"{last[metric]:.1%}") for name, metric in _ROWS if metric in last]
    caption = "All test questions. The attention is the mean over the rounds."
    table = Table(("Test questions", "Share"), rows)
    save_sheet(run, Sheet("scores", "How well it answers, and where it looks", caption, table))


def choose(answers: np.ndarray, label: np.ndarray, count: int) -> list[tuple[int, int]]:
    """Return the places of a wrong answer, if any, and of right ones about different pictures.

    Args:
        answers: The answers, (n, q).
        label: The right answers, (n, q), −1 where there is no question.
        count: The number of places.
    """
    wrong = np.argwhere((label >= 0) & (answers != label))[:1]
    right = (label >= 0) & (answers == label)
    rows = np.flatnonzero(right.any(-1))[: count - len(wrong)]
    # The first question of the first picture, the second of the second, and so on.
    places = [
        np.flatnonzero(right[row])[number % right[row].sum()] for number, row in enumerate(rows)
    ]
    return [(int(a), int(b)) for a, b in [*wrong, *zip(rows, places, strict=True)]]


def draw_looks(
    task: Any,
    batch: Mapping[str, np.ndarray],
    looked: Any,
    grid: tuple[int, int],
    chosen: Sequence[tuple[int, int]],
) -> Figure:
    """Draw a row for each question: the picture, and the attention of each round."""
    rounds = len(looked.cells)
    figure = Figure(figsize=(2.1 * (rounds + 1), 2.5 * len(chosen)), layout="constrained")
    axes = figure.subplots(
        2 * len(chosen), rounds + 1, squeeze=False, height_ratios=[4, 1] * len(chosen)
    )
    for number, (row, place) in enumerate(chosen):
        question = task.pictures("test")[row].questions[place]
        image, boxes = batch["image"][row], np.reshape(question.boxes, (-1, 4))
        first, below = axes[2 * number], axes[2 * number + 1]
        first[0].imshow(image)
        first[0].set(xticks=[], yticks=[])
        _frame(first[0], boxes)
        below[0].axis("off")
        given = task.answers[int(looked.logits[row, place].argmax())]
        color = RIGHT if given == question.answer else WRONG
        title = f"{_broken(question.words)}?\n{question.answer}; the model says {given}"
        first[0].set_title(title, fontsize=7.5, color=color, loc="left")
        for turn in range(rounds):
            cells = looked.cells[turn, row, place].reshape(grid)
            draw_overlay(first[turn + 1], image, cells, Normalize(0, max(cells.max(), 1e-9)))
            _frame(first[turn + 1], boxes)
            first[turn + 1].set_title(f"round {turn + 1}", fontsize=7.5, color=MUTED)
            weights = looked.words[turn, row, place]
            _words(below[turn + 1], question.words, weights, question.keywords)
    return figure


def _broken(words: Sequence[str]) -> str:
    """Return the words of a question in lines."""
    lines = [""]
    for word in words:
        if len(lines[-1]) + len(word) > _WIDE:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


def _frame(axes: Axes, boxes: np.ndarray) -> None:
    for top, left, bottom, right in boxes - 0.5:
        size = right - left, bottom - top
        axes.add_patch(Rectangle((left, top), *size, fill=False, edgecolor=TRUTH, linewidth=1.4))


def _words(axes: Axes, words: Sequence[str], weights: np.ndarray, keywords: Sequence[int]) -> None:
    """Write words in the color of their weights, those that decide in a green frame."""
    axes.set(xlim=(0, _WIDE), ylim=(3.5, -0.7))
    axes.axis("off")
    line, column = 0, 0
    for place, word in enumerate(words):
        if column and column + len(word) > _WIDE:
            line, column = line + 1, 0
        weight = float(weights[place])
        edge = TRUTH if place in keywords else "none"
        color = ON_DARK if weight > _DARK else INK
        box = {"boxstyle": "round,pad=0.15", "facecolor": ATTENTION(weight), "edgecolor": edge}
        style = {"family": "monospace", "fontsize": 5.5, "va": "center", "color": color}
        axes.text(column, line, word, bbox=box, **style)
        column += len(word) + 2

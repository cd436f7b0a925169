"""Figures of a translator: its alignments, right and wrong, over training, and for every head."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from attn_jax import plot
from attn_jax.plot.fonts import legible
from attn_jax.train import read_metrics
from attn_jax.train.disk.stored import StoredFileError
from experiments.report import Sheet, Table, save_sheet
from experiments.translation.alignment import frame_steps, read_frame
from experiments.translation.alignment_scores import Score, gold_links
from experiments.translation.evaluation import Evaluation
from experiments.translation.examples import (
    MAX_SOURCE_TOKENS,
    DecodedExample,
    decode_examples,
    diverse,
)
from experiments.translation.scores import read_scores

_SHOWN = 6
_COLUMNS = 3
_FRAMES = 8
_BOTH_COUNTS = (
    "For all words, every link counts (Och and Ney, 2003), as in published numbers; for linked "
    "words, target words without gold links are left out."
)
_STEPS = {
    "before": "the step that writes a token",
    "after": "the step after a token is written",
}


def draw_figures(evaluation: Evaluation, run: Path) -> None:
    """Draw all figures into the run's folder."""
    for sheet in _sheets(evaluation, run):
        save_sheet(run, sheet)


def _sheets(evaluation: Evaluation, run: Path) -> Iterator[Sheet]:
    examples = list(decode_examples(evaluation))
    key = _key(evaluation)
    right = diverse([e for e in examples if e.exact and not e.misaligned], _SHOWN)
    if right:
        caption = f"{key} These test sentences are translated correctly.{_hidden(evaluation)}"
        yield Sheet("alignments", "Where it looks as it writes", caption, _maps(right))
    wrong = [e for e in examples if not e.exact][:_SHOWN]
    if wrong:
        caption = f"{key} The first test sentences that are translated incorrectly: " + "; ".join(
            f"“{e.example.target_text}” as “{e.text}”" for e in wrong
        )
        yield Sheet("mistakes", "Where it looked when it was wrong", caption, _maps(wrong))
    misaligned = [e for e in examples if e.exact and e.misaligned][:_SHOWN]
    if misaligned:
        caption = (
            f"{key} The translations are correct, but at least one token has its largest weight "
            "away from every known link."
        )
        yield Sheet("misaligned", "Correct, but misaligned", caption, _maps(misaligned))
    yield from _learning(evaluation, run)
    yield from _heads(evaluation, run)
    if not examples:
        print(
            f"No test sentence is drawn: none has at most {MAX_SOURCE_TOKENS} tokens, all in "
            "scripts that an installed font has."
        )
        return
    example = (right or wrong or misaligned or examples)[0]
    yield Sheet("viewer", "Look around", "Every layer and head for a sentence.", _viewer(example))


def _key(evaluation: Evaluation) -> str:
    key = (
        "The source runs from left to right, the translation from top to bottom; darker cells have "
        "larger weights."
    )
    return key + (" Known links are outlined." if evaluation.task.has_gold else "")


def _hidden(evaluation: Evaluation) -> str:
    texts = [example.source_text for example in evaluation.task.examples("test")]
    count = sum(not legible(text) for text in texts)
    note = f" {count:,} of {len(texts):,} are not shown, as no font here has their scripts."
    return note if count else ""


def _maps(examples: Sequence[DecodedExample]) -> Figure:
    columns = min(_COLUMNS, len(examples))
    rows = -(-len(examples) // columns)
    widest = max(e.alignment.shape[1] for e in examples)
    tallest = max(e.alignment.shape[0] for e in examples)
    size = (columns * (0.9 + 0.15 * max(widest, 12)), rows * (1.1 + 0.17 * max(tallest, 6)))
    figure = Figure(size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat[len(examples) :]:
        ax.set_axis_off()
    for ax, example in zip(axes.flat, examples, strict=False):
        draw_example(example, ax)
    _share_legend(figure, [ax.get_legend() for ax in axes.flat[: len(examples)]])
    return figure


def _share_legend(figure: Figure, legends: Sequence[Any]) -> None:
    """Put one legend, the fullest, under the figure in place of all."""
    fullest = max(legends, key=lambda legend: len(legend.legend_handles))
    labels = [text.get_text() for text in fullest.get_texts()]
    style = {"ncols": 3, "fontsize": 7, "frameon": False}
    figure.legend(fullest.legend_handles, labels, loc="outside lower left", **style)
    for legend in legends:
        legend.remove()


def draw_example(example: DecodedExample, ax: Any = None) -> Figure:
    """Draw one alignment."""
    return plot.alignment(
        example.alignment,
        source=example.example.source,
        target=example.target,
        normalized=False,
        ax=ax,
        sure=example.gold.get("sure"),
        possible=example.gold.get("possible"),
    )


def _learning(evaluation: Evaluation, run: Path) -> Iterator[Sheet]:
    """Yield a strip over the steps for each sentence with frames, and the error rate's curve."""
    numbers = evaluation.splits["validation"][0]["example"].tolist()
    frames = _read_frames(run, numbers)
    steps = _spread(list(frames))
    examples = evaluation.task.examples("validation")
    for index, number in enumerate(numbers[: min(map(len, frames.values()), default=0)]):
        example = examples[number]
        shape = (len(example.target), len(example.source))
        weights = np.stack([frames[step][index, : shape[0], : shape[1]] for step in steps])
        sure, possible = gold_links(example, shape)
        strip = plot.film(weights, steps=steps, sure=sure, possible=possible, normalized=False)
        caption = (
            f"“{example.source_text}”, translated as “{example.target_text}”. {_key(evaluation)}"
        )
        yield Sheet(f"learning-{index + 1}", "How its alignment developed", caption, strip)
    names = ("aer_all_words", "aer_linked_words", "aer")  # "aer", linked words, in version 0.1.0
    rows = list(read_metrics(run))
    names = [name for name in names if any(f"validation/{name}" in row for row in rows)]
    if names:
        caption = (
            "The error rate of the alignment chosen in advance, on part of the validation set. "
            f"{_BOTH_COUNTS}"
        )
        curve = plot.curves(rows, names)
        yield Sheet("error-rate", "Alignment error rate over training", caption, curve)


def _read_frames(run: Path, numbers: Sequence[int]) -> dict[int, np.ndarray]:
    """Return the frames of a run by step; leave out, with a line, what is damaged."""
    frames = {}
    for step in frame_steps(run):
        try:
            weights, examples = read_frame(run, step)
        except StoredFileError as error:
            print(f"{error}; it is left out.", file=sys.stderr)
            continue
        shapes = {weights.shape, *(each.shape for each in frames.values())}
        if examples != list(numbers[: len(examples)]) or len(shapes) > 1:
            print(
                f"The frame of step {step} is of other sentences; it is left out.", file=sys.stderr
            )
            continue
        frames[step] = weights
    return frames


def _spread(steps: Sequence[int]) -> list[int]:
    """Choose the first step, the last, and fewer and fewer between: attention learns early."""
    if len(steps) <= _FRAMES:
        return list(steps)
    later = np.array(steps[1:])
    targets = np.geomspace(later[0], later[-1], _FRAMES - 1)
    nearest = np.abs(later - targets[:, None]).argmin(1) + 1
    return [steps[index] for index in np.unique([0, *nearest])]


def _heads(evaluation: Evaluation, run: Path) -> Iterator[Sheet]:
    scores = read_scores(run)
    if not scores.get("alignment"):
        return
    alignment = evaluation.alignment
    chosen = alignment.select_score([Score(**score) for score in scores["alignment"]])
    rows = [
        [score[name] for name in Score._fields[:4]]
        + [_cell(score[name]) for name in Score._fields[4:]]
        for score in scores["alignment"]
    ]
    caption = (
        "On the test split, by teacher forcing. The alignment chosen in advance is the mean over "
        f"the heads of {chosen.layer}, {_STEPS[chosen.row]}, linked by {chosen.links}. The "
        f"threshold is {alignment.threshold}. The last rows are a diagonal and a random alignment. "
        f"{_BOTH_COUNTS} Recall is the same for both. "
        f"BLEU: {scores['signatures']['bleu']}; chrF: {scores['signatures']['chrf']}."
    )
    rates = (
        f"{rate}, {words}"
        for words in ("all words", "linked")
        for rate in ("AER", "precision", "F")
    )
    header = ["attention", "head", "step", "links", *rates, "recall"]
    yield Sheet("scores", "The alignment of every head", caption, Table(header, rows))


def _cell(rate: float | None) -> str:
    return "no links" if rate is None else f"{rate:.4f}"


def _viewer(example: DecodedExample) -> plot.Viewer:
    return plot.viewer(
        example.weights,
        axes="hqk",
        queries=example.target,
        keys=list(example.example.source),
        title=example.example.source_text,
        normalized=False,
        gold=example.gold.get("sure"),
        possible=example.gold.get("possible"),
    )

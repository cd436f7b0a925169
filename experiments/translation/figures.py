"""Pictures of a translator: alignments right and wrong, how they came to be, and every head."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from attn_jax import plot
from attn_jax.plot.fonts import legible
from attn_jax.train import read_metrics
from experiments.report import Sheet, Table, save_sheet
from experiments.translation.alignment_scores import Score, gold_links
from experiments.translation.examples import LONGEST, Reading, read_sentences, various
from experiments.translation.experiment import FRAMES, SCORES, TranslationExperiment

_SHOWN = 6
_COLUMNS = 3
_FRAMES = 8
_STEPS = {
    "before": "the step that writes a token",
    "after": "the step after a token is written",
}


def draw_figures(experiment: TranslationExperiment, params: Any, run: Path) -> None:
    """Draw all into the run's folder."""
    for sheet in _sheets(experiment, params, run):
        save_sheet(run, sheet)


def _sheets(experiment: TranslationExperiment, params: Any, run: Path) -> Iterator[Sheet]:
    readings = list(read_sentences(experiment, params))
    key = _key(experiment)
    right = various([r for r in readings if r.right and not r.misaligned], _SHOWN)
    if right:
        caption = f"{key} These test sentences are translated rightly.{_unseen(experiment)}"
        yield Sheet("alignments", "What it looks at as it writes", caption, _maps(right))
    wrong = [r for r in readings if not r.right][:_SHOWN]
    if wrong:
        caption = f"{key} The first test sentences that are translated wrongly: " + "; ".join(
            f"{r.example.target_text!r} as {r.text!r}" for r in wrong
        )
        yield Sheet("mistakes", "Where it looked when it was wrong", caption, _maps(wrong))
    astray = [r for r in readings if r.right and r.misaligned][:_SHOWN]
    if astray:
        caption = (
            f"{key} The translations are right, but a token has its strongest weight elsewhere "
            "than at any known link."
        )
        yield Sheet("misaligned", "Right, but not by what it looked at", caption, _maps(astray))
    yield from _learning(experiment, run)
    yield from _heads(experiment, run)
    if not readings:
        print(
            f"No test sentence is drawn: none has at most {LONGEST} tokens, all in scripts that "
            "an installed font has."
        )
        return
    shown = (right or wrong or astray or readings)[0]
    yield Sheet("viewer", "Look around", "Every layer and head over a sentence.", _viewer(shown))


def _key(experiment: TranslationExperiment) -> str:
    read = (
        "Source from left to right, translation from top to bottom; the darker a cell, the larger "
        "its weight."
    )
    return read + (" Outlined are the links that are known." if experiment.task.has_gold else "")


def _unseen(experiment: TranslationExperiment) -> str:
    texts = [example.source_text for example in experiment.task.examples("test")]
    count = sum(not legible(text) for text in texts)
    more = f" {count:,} of {len(texts):,} are in scripts that no font here has, and are not shown."
    return more if count else ""


def _maps(readings: Sequence[Reading]) -> Figure:
    columns = min(_COLUMNS, len(readings))
    rows = -(-len(readings) // columns)
    widest = max(r.alignment.shape[1] for r in readings)
    tallest = max(r.alignment.shape[0] for r in readings)
    size = (columns * (0.9 + 0.15 * max(widest, 12)), rows * (1.1 + 0.17 * max(tallest, 6)))
    figure = Figure(size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat[len(readings) :]:
        ax.set_axis_off()
    for ax, reading in zip(axes.flat, readings, strict=False):
        draw_reading(reading, ax)
    legends = [ax.get_legend() for ax in axes.flat[: len(readings)]]
    fullest = max(legends, key=lambda legend: len(legend.legend_handles))
    meanings = [text.get_text() for text in fullest.get_texts()]
    look = {"ncols": 3, "fontsize": 7, "frameon": False}
    figure.legend(fullest.legend_handles, meanings, loc="outside lower left", **look)
    for legend in legends:
        legend.remove()
    return figure


def draw_reading(reading: Reading, ax: Any = None) -> Figure:
    """Draw one alignment."""
    return plot.alignment(
        reading.alignment,
        source=reading.example.source,
        target=reading.target,
        normalized=False,
        ax=ax,
        sure=reading.gold.get("sure"),
        possible=reading.gold.get("possible"),
    )


def _learning(experiment: TranslationExperiment, run: Path) -> Iterator[Sheet]:
    """A strip over the steps for each sentence kept, and the curve of the error rate."""
    maps, numbers, examples = [], [], experiment.task.examples("validation")
    paths = _hastening(sorted((run / FRAMES).glob("*.npz")))
    for path in paths:
        with np.load(path) as kept:
            maps.append(kept["weights"])
            numbers = kept["example"].tolist()
    steps = [int(path.stem) for path in paths]
    for at, number in enumerate(numbers):
        example = examples[number]
        shape = (len(example.target), len(example.source))
        weights = np.stack([each[at, : shape[0], : shape[1]] for each in maps])
        sure, possible = gold_links(example, shape)
        strip = plot.film(weights, steps=steps, sure=sure, possible=possible, normalized=False)
        caption = f"{example.source_text!r}, translated {example.target_text!r}. {_key(experiment)}"
        yield Sheet(f"learning-{at + 1}", "How its alignment came to be", caption, strip)
    rows = [row for row in read_metrics(run) if "validation/aer" in row]
    if rows:
        caption = "Of the alignment named in advance, on a part of the validation split."
        drawn = plot.curves(rows, ["aer"])
        yield Sheet("error-rate", "Alignment error rate over training", caption, drawn)


def _hastening(frames: Sequence[Path]) -> list[Path]:
    """The first frame, the last, and ever fewer between, as attention learns most at first."""
    if len(frames) <= _FRAMES:
        return list(frames)
    steps = np.array([int(frame.stem) for frame in frames])
    wanted = np.geomspace(steps[1], steps[-1], _FRAMES - 1)
    nearest = np.abs(steps[1:] - wanted[:, None]).argmin(1) + 1
    return [frames[at] for at in np.unique([0, *nearest])]


def _heads(experiment: TranslationExperiment, run: Path) -> Iterator[Sheet]:
    path = run / SCORES
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if not kept.get("alignment"):
        return
    named = experiment.named([Score(**score) for score in kept["alignment"]])
    rows = [
        [s["layer"], s["head"], s["row"], s["links"]]
        + [f"{s[name]:.4f}" for name in ("aer", "precision", "recall", "f")]
        for s in kept["alignment"]
    ]
    caption = (
        "Of the test split, by teacher forcing. Named in advance: the mean over the heads of "
        f"{named.layer}, {_STEPS[named.row]}, by {named.links}. The threshold is "
        f"{experiment.alignment_threshold}. Below, a diagonal and a random alignment. "
        f"BLEU: {kept['signatures']['bleu']}; chrF: {kept['signatures']['chrf']}."
    )
    header = ["attention", "head", "step", "links", "AER", "precision", "recall", "F"]
    yield Sheet("scores", "The alignment of every head", caption, Table(header, rows))


def _viewer(reading: Reading) -> plot.Viewer:
    return plot.viewer(
        reading.weights,
        axes="hqk",
        queries=reading.target,
        keys=list(reading.example.source),
        title=reading.example.source_text,
        normalized=False,
        gold=reading.gold.get("sure"),
        possible=reading.gold.get("possible"),
    )

"""Figures of speech: spectrograms, when words are said and heard, and error rates."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from attn_jax.plot.colors import ATTENTION, INK, MUTED, ON_DARK, RIGHT, TRUTH, WRONG
from experiments.report.figures import Sheet, Table, save_sheet
from experiments.report.record import Row

_HEIGHT = 0.21


def save_utterances(
    run: Path,
    heard: Sequence[Any],
    mels: Mapping[int, np.ndarray],
    vocabulary: list[str],
    caption: str,
) -> None:
    """Save the drawing of some utterances.

    Args:
        run: The run's folder.
        heard: What was heard in each.
        mels: The spectrogram of each, by row, (frames, mels).
        vocabulary: The word of each token.
        caption: What the drawing shows.
    """
    figure = draw_utterances(heard, mels, vocabulary)
    save_sheet(run, Sheet("utterances", "When it hears each word", caption, figure))


def draw_utterances(
    heard: Sequence[Any], mels: Mapping[int, np.ndarray], vocabulary: list[str]
) -> Figure:
    """Draw each utterance: its spectrogram, and a row for each word that is said."""
    heights = [part for each in heard for part in (5 * _HEIGHT, _HEIGHT * len(each.target))]
    figure = Figure(figsize=(7.5, sum(heights) + 0.55 * len(heard)), layout="constrained")
    axes = figure.subplots(2 * len(heard), 1, height_ratios=heights, squeeze=False)[:, 0]
    for number, each in enumerate(heard):
        _spectrogram(axes[2 * number], each, mels[each.row], vocabulary)
        _map(axes[2 * number + 1], each, vocabulary)
    axes[-1].set_xlabel("seconds", fontsize=8, color=MUTED)
    return figure


def _spectrogram(axes: Axes, heard: Any, mel: np.ndarray, vocabulary: list[str]) -> None:
    frames = max(1, round(heard.seconds * 100))
    extent = (0, frames / 100, 0, 1)
    axes.imshow(mel[:frames].T, cmap="gray_r", origin="lower", aspect="auto", extent=extent)
    is_right = heard.tokens.tolist() == heard.target.tolist()
    words = " ".join(vocabulary[token] for token in heard.tokens) or "nothing"
    axes.set_title(f"heard: {words}", fontsize=8, color=RIGHT if is_right else WRONG, loc="left")
    for time in heard.truth:
        axes.axvline(time, color=TRUTH, linewidth=1)
    axes.set(xticks=[], yticks=[])


def _map(axes: Axes, heard: Any, vocabulary: list[str]) -> None:
    words, extent = len(heard.target), (0, heard.seconds, len(heard.target), 0)
    axes.imshow(heard.map, cmap=ATTENTION, aspect="auto", vmin=0, extent=extent)
    names = [vocabulary[token] for token in heard.target]
    axes.set_yticks(np.arange(words) + 0.5, names, fontsize=7, color=INK)
    axes.tick_params(axis="x", labelsize=7, colors=MUTED)
    axes.tick_params(length=0, axis="y")
    spans = zip(heard.truth[:-1], heard.truth[1:], strict=True)
    for row, (begin, end) in enumerate(spans):
        frame = {"fill": False, "edgecolor": TRUTH, "linewidth": 1.3}
        axes.add_patch(Rectangle((begin, row), end - begin, 1, **frame))
    mark = {"color": ON_DARK, "markeredgecolor": INK, "markersize": 4}
    axes.plot(heard.times, np.arange(words) + 0.5, "o", **mark)


def save_errors(run: Path, last: Row) -> None:
    """Save the table of error rates, and that of times if they are known."""
    names = {"wer": "All", "wer_known_accents": "New speakers, accents of training"}
    names["wer_new_accent"] = "New speakers, an accent never heard"
    levels = [name.split("_")[1] for name in last if name.endswith("_db")]
    names |= {f"wer_{level}_db": f"All, {level} dB above the noise" for level in levels}
    rows = [
        (title, f"{100 * last[f'test/{name}']:.2f} %")
        for name, title in names.items()
        if f"test/{name}" in last
    ]
    caption = (
        "Word error rate over test utterances: words wrong, left out and added, over words said."
    )
    sheet = Sheet("errors", "How many words are wrong", caption, Table(("Utterances", "WER"), rows))
    save_sheet(run, sheet)
    if "timing/median_ms" in last:
        _save_timing(run, last)


def _save_timing(run: Path, last: Row) -> None:
    titles = {
        "median_ms": "The model, median",
        "mean_ms": "The model, mean",
        "ctc_median_ms": "The peaks of its CTC branch, median",
        "even_ms": "Words spaced evenly, median",
    }
    rows = [
        (title, f"{last[f'timing/{name}']:.0f} ms")
        for name, title in titles.items()
        if f"timing/{name}" in last
    ]
    caption = (
        "How far words are heard from the middle of where they are said; "
        f"{last['timing/inside']:.1%} are heard between their beginning and their end."
    )
    table = Table(("Heard by", "Error"), rows)
    save_sheet(run, Sheet("timing", "How well it knows when", caption, table))

"""The figures of a recording and the attention to it, for the page."""

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.patches import Rectangle

from attn_jax import plot
from attn_jax.plot.colors import ATTENTION, INK, SERIES
from attn_jax.plot.figure import Figure, plain, safe, style, tick_labels
from attn_jax.pretrained.reading.mel import log_mel
from experiments.look.listening import RATE, Listening
from experiments.look.look import Choice
from experiments.report import Sheet
from experiments.report.figure_words import viewer_label


def draw_sheets(listening: Listening, choice: Choice) -> Iterator[Sheet]:
    """Draw the figures of a recording.

    Args:
        listening: The recording, the text that was written, and the attention.
        choice: The map in the figures.

    Yields:
        The figures in their order on the page.
    """
    yield _words(listening)
    yield _viewer(listening, choice)
    yield _map(listening, choice)
    yield _within(listening, choice)


def _words(listening: Listening) -> Sheet:
    return Sheet(
        "words",
        "Where it listened for each word",
        "Above, the sound: its frequencies, from low to high, on the mel scale. Below, a row for "
        "each token and a column for each fiftieth of a second: the attention with which the token "
        "was written, the mean of the heads that align, in standard deviations from what other "
        "tokens give the same moment. The boxes are the best alignment in order.",
        _over_time(listening, np.maximum(listening.aligned, 0), has_words=True),
    )


def _map(listening: Listening, choice: Choice) -> Sheet:
    weights = listening.maps[choice.layer]
    head = f"mean of {len(weights)} heads" if choice.head is None else f"head {choice.head}"
    chosen = weights.mean(0) if choice.head is None else weights[choice.head]
    return Sheet(
        "map",
        f"Layer {choice.layer}, {head}",
        "The weights of one map over the sound. --layer and --head choose another.",
        _over_time(listening, chosen),
    )


def _viewer(listening: Listening, choice: Choice) -> Sheet:
    frames = listening.maps.shape[-1]
    view = plot.viewer(
        {viewer_label(f"layer {i}"): layer for i, layer in enumerate(listening.maps)},
        axes="hqk",
        queries=listening.written,
        keys=[f"{i * listening.frame:.2f} s" for i in range(frames)],
        normalized=False,  # some of it goes to the silence after the recording
        title=viewer_label("Attention to the sound"),
    )
    return Sheet(
        "viewer",
        "Look around: attention to the sound",
        "Click a head to open its map: a row for each token that was written, a column for each "
        "moment of the recording.",
        view.select(view="overview", **_selection(choice)),
    )


def _within(listening: Listening, choice: Choice) -> Sheet:
    view = plot.viewer(
        {viewer_label(f"layer {i}"): layer for i, layer in enumerate(listening.over_text)},
        axes="hqk",
        tokens=listening.read,
        title=viewer_label("Attention to the text written so far"),
    )
    return Sheet(
        "text",
        "Look around: attention to the text written so far",
        "A row for each token that was read, a column for each one before it.",
        view.select(view="overview", **_selection(choice)),
    )


def _selection(choice: Choice) -> dict[str, int | str]:
    return {"layer": choice.layer, "head": "mean" if choice.head is None else choice.head}


def _over_time(
    listening: Listening, weights: np.ndarray, *, has_words: bool = False
) -> MatplotlibFigure:
    """Draw a map, a row for each written token, below the spectrogram, over the same seconds."""
    rows = len(listening.written)
    heights = [1.1, 0.16 * rows + 0.4]
    size = min(max(7.5, 1.6 * listening.seconds), 24), sum(heights) + 0.6
    figure = Figure(size)
    sound, map_ = figure.subplots(2, sharex=True, height_ratios=heights)
    _draw_sound(sound, listening)
    end = weights.shape[-1] * listening.frame
    style(map_).imshow(
        weights, cmap=ATTENTION, vmin=0, aspect="auto", extent=(0, end, rows - 0.5, -0.5)
    )
    tick_labels(map_, "y", listening.written)
    map_.set_xlabel("seconds", fontsize=8, color=INK)
    map_.set_xlim(0, listening.seconds)
    if has_words:
        _draw_words(sound, map_, listening)
    return figure


def _draw_sound(ax: Axes, listening: Listening) -> None:
    style(ax)
    short = max(0, RATE // 100 - len(listening.samples))  # less than a frame
    mel = log_mel(np.pad(listening.samples, (0, short)), rate=RATE)
    ax.imshow(
        mel, cmap="gray_r", origin="lower", aspect="auto", extent=(0, listening.seconds, 0, 1)
    )
    ax.set(yticks=[])


def _draw_words(sound: Axes, map_: Axes, listening: Listening) -> None:
    """Mark where each word begins, and box the rows of its tokens while it is said."""
    places = [place for _, place in listening.words] + [listening.length]
    turned = {"rotation": 90, "ha": "center"} if listening.seconds > 12 else {}
    for i, word in enumerate(listening.timed):
        sound.axvline(word.start, color=SERIES[0], linewidth=0.8)
        # Neighbors on two levels, as a short word leaves no room for the next one.
        label = sound.text(
            word.start, 1.04 + 0.13 * (i % 2), plain(word.text), fontsize=8, color=INK, **turned
        )
        safe(label)
        top, height = places[i] - 0.5, places[i + 1] - places[i]
        box = (word.start, top), word.end - word.start, height
        map_.add_patch(Rectangle(*box, fill=False, edgecolor=SERIES[0], linewidth=1.0))

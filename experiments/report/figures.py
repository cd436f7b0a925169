"""Draws a run's figures into ``figures/``, each as SVG and PNG, listed in ``index.json``."""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from attn_jax import plot
from attn_jax.train import read_metrics
from experiments.report.card import save_card
from experiments.report.record import fine_rows

_COLUMNS = 10
_PER_CLASS = 2
_MOST_MISTAKES = 30
# A mean over fewer images than this is too grainy to show.
_ENOUGH = 200
_CURVES = ("loss", "accuracy")


class Table(NamedTuple):
    """Numbers that a page shows as rows.

    Attributes:
        header: The name of each column.
        rows: The cells, as written.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


class Sheet(NamedTuple):
    """One figure with its words.

    Attributes:
        name: Of its files, without suffix.
        title: Of one line.
        caption: What is seen, in a sentence or two.
        figure: The drawing, a page to look around in, or a table.
    """

    name: str
    title: str
    caption: str
    figure: Figure | plot.Viewer | Table


class Readings(NamedTuple):
    """Images, what a model read in them, and where it looked.

    Attributes:
        images: ``(n, height, width)``.
        labels: ``(n,)``.
        predictions: ``(n,)``.
        weights: ``(n, heads, tokens)``.
        grid: Rows and columns of tokens.
        names: The classes' names, by index.
        negative: Whether the images are white on black.
    """

    images: NDArray
    labels: NDArray
    predictions: NDArray
    weights: NDArray
    grid: tuple[int, int]
    names: Sequence[str] | None
    negative: bool

    def at(self, chosen: NDArray) -> "Readings":
        """Returns those chosen by index."""
        return self._replace(
            images=self.images[chosen],
            labels=self.labels[chosen],
            predictions=self.predictions[chosen],
            weights=self.weights[chosen],
        )


def draw_figures(
    run: Path,
    images: ArrayLike,
    labels: ArrayLike,
    predictions: ArrayLike,
    weights: ArrayLike,
    grid: tuple[int, int],
    *,
    names: Sequence[str] | None = None,
    negative: bool = True,
    card: Any = None,
) -> list[Path]:
    """Draws where a trained classifier looked, and its learning curves.

    Give it as many test images as there are: it shows some of each class that were read rightly,
    the first of those that were not, and the mean over all.

    Args:
        run: The run's folder.
        images: ``(n, height, width)``, uint8 or floats.
        labels: ``(n,)`` true classes.
        predictions: ``(n,)`` predicted classes.
        weights: ``(n, tokens)``, or ``(n, heads, tokens)``.
        grid: Rows and columns of tokens: ``(7, 7)`` patches, ``(28, 1)`` for rows of pixels.
        names: The classes' names, by index.
        negative: Whether to show white strokes on black as dark strokes on paper.
        card: How far the weights can be believed, as `measure.report_card` says it.

    Returns:
        The files written, without ``index.json``.

    Raises:
        ValueError: If the arrays do not fit each other; see :mod:`attn_jax.plot`.
    """
    weights = np.asarray(weights, np.float32)
    readings = Readings(
        np.asarray(images),
        np.asarray(labels),
        np.asarray(predictions),
        weights[:, None] if weights.ndim == 2 else weights,
        grid,
        names,
        negative,
    )
    if card is not None:
        save_card(run, card)
    return draw_curves(run) + [
        path for sheet in _sheets(readings, card) for path in save_sheet(run, sheet)
    ]


def draw_curves(run: Path) -> list[Path]:
    """Draws the learning curves from ``metrics.jsonl``, if it holds any.

    Args:
        run: The run's folder.

    Returns:
        The files written.
    """
    rows = fine_rows(read_metrics(run))
    metrics = [m for m in _CURVES if any(name.endswith(f"/{m}") for r in rows for name in r)]
    if not metrics:
        return []
    caption = "Spaced by logarithms: the loss by its own, accuracy by that of the error."
    return save_sheet(run, Sheet("curves", "Learning curves", caption, plot.curves(rows, metrics)))


def _sheets(readings: Readings, card: Any) -> Iterator[Sheet]:
    correct = readings.labels == readings.predictions
    right, wrong = _some_of_each_class(readings.labels, correct), np.flatnonzero(~correct)
    if right.size:
        yield Sheet(
            "digits",
            "Where it looks",
            "Images of each class that were read rightly, and the attention over each.",
            _grid(readings.at(right)),
        )
    if wrong.size:
        yield Sheet(
            "mistakes",
            "Where it looked when it was wrong",
            f"Of {correct.size:,} images {wrong.size:,} were misread; here are the first "
            f"{min(wrong.size, _MOST_MISTAKES)}. Left what was read, right what it is.",
            _grid(readings.at(wrong[:_MOST_MISTAKES])),
        )
    if readings.weights.shape[1] > 1 and right.size:
        yield Sheet(
            "heads",
            "Head by head",
            "Each head alone. The other figures show the mean over the heads.",
            _heads(readings.at(right[:_COLUMNS])),
        )
    if correct.size:
        yield Sheet(
            "viewer",
            "Look around",
            "The first of the images: choose a head, point at a patch.",
            _viewer(readings, card),
        )
    if correct.size >= _ENOUGH:
        yield Sheet(
            "classes",
            "On average",
            f"The mean image and the mean attention of each class, over {correct.size:,} images.",
            _classes(readings),
        )


def _some_of_each_class(labels: NDArray, correct: NDArray) -> NDArray:
    """The first rightly read images of every class: a row of each class's first, then second."""
    found = [np.flatnonzero(correct & (labels == label)) for label in np.unique(labels)]
    rows = [[of[row] for of in found if len(of) > row] for row in range(_PER_CLASS)]
    return np.array([index for row in rows for index in row], dtype=int)


def _grid(chosen: Readings) -> Figure:
    return plot.image_grid(
        chosen.images,
        chosen.weights.mean(1),
        chosen.grid,
        labels=chosen.labels,
        predictions=chosen.predictions,
        columns=_COLUMNS,
        names=chosen.names,
        negative=chosen.negative,
    )


def _heads(chosen: Readings) -> Figure:
    return plot.image_heads(chosen.images, chosen.weights, chosen.grid, negative=chosen.negative)


def _viewer(readings: Readings, card: Any) -> plot.Viewer:
    image, white = readings.images[0], _white(readings.images)
    label, prediction = int(readings.labels[0]), int(readings.predictions[0])
    name = str(label if readings.names is None else readings.names[label])
    return plot.viewer(
        readings.weights[0][:, None],
        queries=[f"read as {prediction if readings.names is None else readings.names[prediction]}"],
        images=(white - image if readings.negative else image).astype(image.dtype),
        grid=readings.grid,
        card=card,
        title=f"A test image of {name}",
    )


def _classes(readings: Readings) -> Figure:
    classes = np.unique(readings.labels)
    of = [readings.at(np.flatnonzero(readings.labels == label)) for label in classes]
    names = readings.names
    return plot.image_grid(
        np.stack([each.images.mean(0) / _white(readings.images) for each in of]),
        np.stack([each.weights.mean((0, 1)) for each in of]),
        readings.grid,
        titles=[str(label if names is None else names[label]) for label in classes],
        columns=_COLUMNS,
        negative=readings.negative,
    )


def _white(images: NDArray) -> float:
    return 255.0 if np.issubdtype(images.dtype, np.integer) else max(float(images.max()), 1.0)


def save_sheet(run: Path, sheet: Sheet) -> list[Path]:
    """Writes a figure with its words, in place of an earlier one of the same name.

    Args:
        run: The run's folder.
        sheet: The figure.

    Returns:
        The files written, without ``index.json``.
    """
    folder = run / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(sheet.figure, Figure):
        files = [folder / f"{sheet.name}.{suffix}" for suffix in ("svg", "png")]
        sheet.figure.savefig(files[0], metadata={"Date": None})
        sheet.figure.savefig(files[1], dpi=150)
    elif isinstance(sheet.figure, Table):
        files = [folder / f"{sheet.name}.csv"]
        with files[0].open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([sheet.figure.header, *sheet.figure.rows])
    else:
        files = [sheet.figure.save(folder / f"{sheet.name}.html")]
    index = folder / "index.json"
    entries = json.loads(index.read_text(encoding="utf-8")) if index.is_file() else []
    entry = {"name": sheet.name, "title": sheet.title, "caption": sheet.caption}
    entries = [other for other in entries if other["name"] != sheet.name] + [entry]
    index.write_text(json.dumps(entries, indent=1), encoding="utf-8")
    return files

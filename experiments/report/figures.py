"""Figures of a run, saved to `figures/` as SVG and PNG and listed in `index.json`."""

import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from attn_jax import plot
from attn_jax.train import read_metrics
from attn_jax.train.disk.manifest import replacing
from attn_jax.train.disk.stored import StoredFileError, is_record, read_json, set_aside, write_json
from experiments.report.card import save_card
from experiments.report.figure_words import translate, viewer_label
from experiments.report.record import fine_rows

_COLUMNS, _NARROW_COLUMNS = 10, 4
_PER_CLASS = 2
_MAX_MISTAKES = 30
# Of the misclassified images, and of the others, in the viewer.
_EXAMPLES = 6
_NARROW = _PER_CLASS * _COLUMNS
_BESIDE = (
    "Weight beside the strokes is no mistake: an empty place can tell digits apart, as the open "
    "top of a 4 does from a 9, and a token may have seen its neighbors before it is weighed."
)
# A mean over fewer images than this is too noisy to show.
_MIN_FOR_MEAN = 200
_CURVES = ("loss", "accuracy")
_INDEX = "index.json"
NARROW = "narrow"
"""The folder, among the figures, of those for a phone."""
_ENTRY = {"name": str, "title": str, "caption": str}


class Table(NamedTuple):
    """A table for the page.

    Attributes:
        header: The name of each column.
        rows: The cells as text.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


class Sheet(NamedTuple):
    """One figure with its title and caption.

    Attributes:
        name: The name of its files, without suffix.
        title: The heading, one line.
        caption: A sentence or two on what the figure shows.
        figure: The drawing, an interactive viewer, or a table.
        narrow: The drawing in parts, below each other, for a phone.
    """

    name: str
    title: str
    caption: str
    figure: Figure | plot.Viewer | Table
    narrow: Sequence[Figure] = ()


class Predictions(NamedTuple):
    """Images with their labels, a model's predictions and its attention.

    Attributes:
        images: The images, `(n, height, width)`.
        labels: The true classes, `(n,)`.
        predictions: The predicted classes, `(n,)`.
        weights: The attention weights, `(n, heads, tokens)`.
        grid: Rows and columns of tokens.
        names: The names of the classes, by index.
        negative: Whether the images are white on black.
    """

    images: NDArray
    labels: NDArray
    predictions: NDArray
    weights: NDArray
    grid: tuple[int, int]
    names: Sequence[str] | None
    negative: bool

    def take(self, indices: NDArray) -> "Predictions":
        """Return the images at these indices."""
        return self._replace(
            images=self.images[indices],
            labels=self.labels[indices],
            predictions=self.predictions[indices],
            weights=self.weights[indices],
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
    """Draw the attention of a trained classifier, and its learning curves.

    Pass the whole test set: the figures show some correctly classified images of each class, the
    first misclassified ones, and the mean over all.

    Args:
        run: The run's folder.
        images: The images, `(n, height, width)`, uint8 or floats.
        labels: The true classes, `(n,)`.
        predictions: The predicted classes, `(n,)`.
        weights: The attention weights, `(n, tokens)` or `(n, heads, tokens)`.
        grid: Rows and columns of tokens: `(7, 7)` for patches, `(28, 1)` for rows of pixels.
        names: The names of the classes, by index.
        negative: Whether to show white strokes on black as dark strokes on white.
        card: The report card of the weights, from `measure.report_card`.

    Returns:
        The files written, without `index.json`.

    Raises:
        ValueError: If the arrays do not fit each other; see :mod:`attn_jax.plot`.
    """
    weights = np.asarray(weights, np.float32)
    predicted = Predictions(
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
        path for sheet in _sheets(predicted) for path in save_sheet(run, sheet)
    ]


def draw_curves(run: Path) -> list[Path]:
    """Draw the learning curves from `metrics.jsonl`, if it holds any.

    Args:
        run: The run's folder.

    Returns:
        The files written.
    """
    rows = fine_rows(read_metrics(run))
    metrics = [m for m in _CURVES if any(name.endswith(f"/{m}") for r in rows for name in r)]
    if not metrics:
        return []
    caption = "Log scale: loss directly, accuracy through the error rate (1 − accuracy)."
    figure, narrow = plot.curves(rows, metrics), [plot.curves(rows, [each]) for each in metrics]
    return save_sheet(run, Sheet("curves", "Learning curves", caption, figure, narrow))


def _sheets(every: Predictions) -> Iterator[Sheet]:
    correct = every.labels == every.predictions
    right, wrong = _some_of_each_class(every.labels, correct), np.flatnonzero(~correct)
    if right.size:
        yield Sheet(
            "digits",
            "Where it looks",
            f"Correctly classified images of each class, with the attention over each. {_BESIDE}",
            _grid(every.take(right)),
            [_grid(every.take(right[:_NARROW]), _NARROW_COLUMNS)],
        )
    if wrong.size:
        yield Sheet(
            "mistakes",
            "Where it looked when it was wrong",
            f"{wrong.size:,} of {correct.size:,} test images were misclassified. "
            f"{_shown(wrong.size)}: prediction on the left, true label on the right.",
            _grid(every.take(wrong[:_MAX_MISTAKES])),
            [_grid(every.take(wrong[:_MAX_MISTAKES]), _NARROW_COLUMNS)],
        )
    if every.weights.shape[1] > 1 and right.size:
        yield Sheet(
            "heads",
            "Head by head",
            "Each head by itself. The other figures show the mean over the heads.",
            _heads(every.take(right[:_COLUMNS])),
            [_heads(every.take(right[:_NARROW_COLUMNS]))],
        )
    if correct.size:
        yield Sheet(
            "viewer",
            "Look around",
            "Test images, those misclassified first. Choose one and a head, and point at a patch.",
            _viewer(every),
        )
    if correct.size >= _MIN_FOR_MEAN:
        yield Sheet(
            "classes",
            "On average",
            f"The mean image and the mean attention of each class, over {correct.size:,} images.",
            _classes(every),
            [_classes(every, _NARROW_COLUMNS)],
        )


def _shown(mistakes: int) -> str:
    if mistakes > _MAX_MISTAKES:
        return f"The first {_MAX_MISTAKES} are shown"
    return "All are shown" if mistakes > 1 else "It is shown"


def _some_of_each_class(labels: NDArray, correct: NDArray) -> NDArray:
    """Return the first correct image of every class, then the second of every class."""
    indices = [np.flatnonzero(correct & (labels == label)) for label in np.unique(labels)]
    rows = [[own[row] for own in indices if len(own) > row] for row in range(_PER_CLASS)]
    return np.array([index for row in rows for index in row], dtype=int)


def _grid(chosen: Predictions, columns: int = _COLUMNS) -> Figure:
    return plot.image_grid(
        chosen.images,
        chosen.weights.mean(1),
        chosen.grid,
        labels=chosen.labels,
        predictions=chosen.predictions,
        columns=columns,
        names=chosen.names,
        negative=chosen.negative,
    )


def _heads(chosen: Predictions) -> Figure:
    return plot.image_heads(chosen.images, chosen.weights, chosen.grid, negative=chosen.negative)


def _viewer(every: Predictions) -> plot.Viewer:
    correct = every.labels == every.predictions
    wrong, right = np.flatnonzero(~correct), _some_of_each_class(every.labels, correct)
    chosen = every.take(np.array([*wrong[:_EXAMPLES], *right[:_EXAMPLES]], int))
    black, white = _levels(every.images)
    images = black + white - chosen.images if every.negative else chosen.images
    return plot.viewer(
        chosen.weights[:, :, None],
        axes="bhqk",
        example=range(len(chosen.labels)),
        queries=[[_reading(chosen, i)] for i in range(len(chosen.labels))],
        images=images.astype(every.images.dtype)[..., None],
        grid=every.grid,
        title=viewer_label("Test images"),
    )


def _reading(chosen: Predictions, index: int) -> str:
    """Return what an image was read as, and what it is if that was wrong."""
    label, prediction = chosen.labels[index], chosen.predictions[index]
    true, read = (str(i if chosen.names is None else chosen.names[i]) for i in (label, prediction))
    is_right = label == prediction
    return viewer_label(f"read as {read} ✓" if is_right else f"read as {read}, is {true} ✗")


def _classes(every: Predictions, columns: int = _COLUMNS) -> Figure:
    classes = np.unique(every.labels)
    black, white = _levels(every.images)
    groups = [every.take(np.flatnonzero(every.labels == label)) for label in classes]
    names = every.names
    return plot.image_grid(
        np.stack([(each.images.mean(0) - black) / (white - black) for each in groups]),
        np.stack([each.weights.mean((0, 1)) for each in groups]),
        every.grid,
        titles=[str(label if names is None else names[label]) for label in classes],
        columns=columns,
        negative=every.negative,
    )


def _levels(images: NDArray) -> tuple[float, float]:
    """Return the values of black and white: 0 and 255 or 1, or further apart if images are."""
    is_integer = np.issubdtype(images.dtype, np.integer)
    white = min(255.0, float(np.iinfo(images.dtype).max)) if is_integer else 1.0
    return min(float(images.min()), 0.0), max(float(images.max()), white)


def save_sheet(run: Path, sheet: Sheet) -> list[Path]:
    """Save a figure with its title and caption, replacing any of the same name.

    Args:
        run: The run's folder.
        sheet: The figure.

    Returns:
        The files written, without `index.json` and what is for phones.
    """
    folder = run / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(sheet.figure, Figure):
        for part in (sheet.figure, *sheet.narrow):
            translate(part)
        files = [folder / f"{sheet.name}.{suffix}" for suffix in ("svg", "png")]
        _save_svg(sheet.figure, files[0])
        with replacing(files[1]) as draft:
            sheet.figure.savefig(draft, format="png", dpi=150)
        for number, part in enumerate(sheet.narrow, 1):
            _save_svg(part, folder / NARROW / f"{sheet.name}-{number}.svg")
    elif isinstance(sheet.figure, Table):
        files = [folder / f"{sheet.name}.csv"]
        with replacing(files[0]) as draft, draft.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([sheet.figure.header, *sheet.figure.rows])
    else:
        files = [sheet.figure.save(folder / f"{sheet.name}.html")]
    entry = {"name": sheet.name, "title": sheet.title, "caption": sheet.caption}
    entries = [other for other in read_index(folder) if other["name"] != sheet.name] + [entry]
    write_json(folder / _INDEX, {"figures": entries})
    return files


def _save_svg(figure: Figure, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as draft:
        figure.savefig(draft, format="svg", metadata={"Date": None})


def read_index(folder: Path) -> list[dict[str, str]]:
    """Read the names, titles and captions of figures; say on standard error if it is damaged.

    Args:
        folder: The folder of figures.

    Returns:
        An entry for each figure; none if the file is missing or damaged.
    """
    path = folder / _INDEX
    if not path.exists():
        return []
    try:
        content = read_json(path, object)
        # In version 0.1.0 the list was the whole file.
        entries = content.get("figures") if isinstance(content, dict) else content
        if not isinstance(entries, list):
            raise StoredFileError(f"{path} has no list of figures")
    except StoredFileError as error:
        print(f"{error}; {set_aside(path)}, and is written again.", file=sys.stderr)
        return []
    whole = [entry for entry in entries if is_record(entry, _ENTRY)]
    if len(whole) < len(entries):
        count = len(entries) - len(whole)
        print(f"{path} has {count} damaged entries, which are left out.", file=sys.stderr)
    return whole

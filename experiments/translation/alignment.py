"""The alignment that an experiment names in advance, and how it changes over training."""

import dataclasses
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from attn_jax.train.disk.manifest import replacing
from attn_jax.train.disk.stored import StoredFileError, read_arrays, set_aside
from experiments.translation.alignment_scores import Score

_FRAMES = "alignments"


@dataclasses.dataclass(frozen=True)
class Alignment:
    """The attention that serves as the alignment, and the way its weights become links.

    Args:
        layer: Index of the decoder's attention, from the last if negative.
        row: Whether a token is aligned by the step `before` it is known, which writes it, or by the
            step `after`.
        links: Whether a token is linked by `argmax` or by `threshold`.
        threshold: The least weight that links by threshold.

    Raises:
        ValueError: If the threshold is not a weight.
    """

    layer: int = -1
    row: Literal["before", "after"] = "before"
    links: Literal["argmax", "threshold"] = "argmax"
    threshold: float = 0.3

    def __post_init__(self) -> None:
        """Check the threshold."""
        if not 0 < self.threshold <= 1:
            raise ValueError(
                f"alignment_threshold={self.threshold} must be above 0 and at most 1, as weights "
                "are."
            )

    def select(self, weights: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the alignment, averaged over heads.

        Args:
            weights: Weights of every layer, (n, h, t, s).

        Returns:
            Weights, (n, t, s).
        """
        mean = list(weights.values())[self.layer].mean(1)
        if self.row == "before":
            return mean
        after = np.concatenate([mean[:, 1:], mean[:, -1:]], axis=1)
        # No step follows the end token, so it keeps its own row.
        return np.where(after.any(-1, keepdims=True), after, mean)

    def select_score(self, scores: Sequence[Score]) -> Score:
        """Return the score of the alignment, of all heads of its layer together."""
        name = ("mean", self.row, self.links)
        return [s for s in scores if (s.head, s.row, s.links) == name][self.layer]


def write_frame(run: Path, step: int, weights: np.ndarray, example: np.ndarray) -> None:
    """Write the alignment of some sentences at a step of training to the run's folder.

    Args:
        run: The run's folder.
        step: The step.
        weights: The alignment, (n, t, s).
        example: The sentences' indices in their split, (n,).
    """
    path = _frame(run, step)
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as draft, draft.open("wb") as file:
        np.savez(file, weights=weights, example=example)


def read_frame(run: Path, step: int) -> tuple[np.ndarray, list[int]]:
    """Return the weights and the sentences' indices that `write_frame` wrote.

    Raises:
        StoredFileError: If the frame is damaged.
    """
    path = _frame(run, step)
    frame = read_arrays(path)
    weights, example = (frame.get(name, np.empty(())) for name in ("weights", "example"))
    is_whole = weights.ndim == 3 and weights.dtype.kind == "f" and np.isfinite(weights).all()
    if not is_whole or example.shape != weights.shape[:1] or example.dtype.kind not in "iu":
        raise StoredFileError(f"{path} is not a frame of an alignment")
    return weights, example.tolist()


def damaged_frames(run: Path) -> Iterator[int]:
    """Set damaged frames aside, with a line on standard error for each, and yield their steps."""
    for step in frame_steps(run):
        try:
            read_frame(run, step)
        except StoredFileError as error:
            then = "is written again if there is a checkpoint of its step"
            print(f"{error}; {set_aside(_frame(run, step))}, and {then}.", file=sys.stderr)
            yield step


def frame_steps(run: Path) -> list[int]:
    """Return the steps of a run that have a frame, ascending."""
    paths = [path for path in (run / _FRAMES).glob("*.npz") if path.stem.isdecimal()]
    return sorted(step for path in paths if _frame(run, step := int(path.stem)) == path)


def _frame(run: Path, step: int) -> Path:
    return run / _FRAMES / f"{step:08}.npz"

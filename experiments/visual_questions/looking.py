"""Where a model looks to answer questions about pictures, and whether that decides them."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from attn_jax.hooks import capture
from experiments.detection.looking_in_boxes import cells_in_box
from experiments.truth.measuring import scores

_BATCH = 100


class Looked(NamedTuple):
    """What a model answers, and where it looks.

    Attributes:
        logits: The logits of the answers after the last round, (n, q, answers).
        cells: The weights of the cells in each round, (rounds, n, q, k).
        words: The weights of the words in each round, (rounds, n, q, w).
    """

    logits: Any
    cells: Any
    words: Any


def look(model: nn.Module, params: Any, batch: Mapping[str, Any]) -> Looked:
    """Run a model on prepared pictures, and read both ways of its co-attention."""
    run, (image, question) = _runner(model), (batch["image"], batch["question"])
    starts = range(0, len(image), _BATCH)
    parts = [run(params, image[i : i + _BATCH], question[i : i + _BATCH]) for i in starts]
    columns = zip((0, 1, 1), zip(*parts, strict=True), strict=True)
    return Looked(*(np.concatenate(each, axis) for axis, each in columns))


def cells_that_decide(box: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Return which cells lie in the boxes of each question, (..., k).

    Args:
        box: The boxes in fractions of the sides, (..., boxes, 4); zeros where there is none.
        grid: The rows and columns of cells.
    """
    exists = np.any(box != 0, axis=-1, keepdims=True)
    return np.asarray(np.any(cells_in_box(box, grid) & exists, axis=-2))


def looking_scores(
    looked: Looked, batch: Mapping[str, np.ndarray], grid: tuple[int, int]
) -> dict[str, float]:
    """Score the attention to the cells and to the words, the mean over the rounds.

    Returns:
        `pointing`, the share of questions whose top cell is in a box that decides, `mass`, the mean
        weight there, and `area`, the mean share of the cells, which equal weights would give; and
        the same of the words: `word_pointing`, `word_mass` and `word_share`. Questions without a
        box, or without words that decide, do not count.
    """
    result = {}
    cells = cells_that_decide(batch["box"], grid)
    pairs = (
        ("", looked.cells, cells, np.ones_like(cells), "area"),
        ("word_", looked.words, batch["keyword"], batch["question"] != 0, "word_share"),
    )
    for prefix, weights, truth, exists, share in pairs:
        known = truth.any(-1)
        if known.any():
            found = scores(weights.mean(0)[known], truth[known], exists[known])
            result |= {f"{prefix}{name}": found[name] for name in ("pointing", "mass")}
            result[share] = float((truth[known].sum(-1) / exists[known].sum(-1)).mean())
    return result


@functools.cache
def _runner(model: nn.Module) -> Callable[..., Looked]:
    """Build a jitted function from parameters, pictures and questions to what is looked at."""

    @jax.jit
    def run(params: Any, image: jax.Array, question: jax.Array) -> Looked:
        patterns = [model.cells_pattern, model.words_pattern]
        logits, captured = capture(model.apply, patterns)({"params": params}, image, question)
        shape, maps = question.shape[:2], []
        for part in ("cells", "words"):
            weights = [each for name, each in sorted(captured.items()) if f".{part}." in name]
            maps.append(jnp.stack([each.reshape(*shape, -1) for each in weights]))
        return Looked(logits[-1], *maps)

    return run

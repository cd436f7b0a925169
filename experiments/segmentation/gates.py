"""How far the gates of a segmentation model open on the object, and what they do for its mask."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from attn_jax.hooks import Site, capture, intervene
from attn_jax.measure import pointing_game, roc_auc
from attn_jax.tasks.canvases.segmentation import PARTS

GATES = "gates.*.gate"
TARGET = PARTS.index("target")
_BATCH = 100


class Segmented(NamedTuple):
    """What a model makes of images.

    Attributes:
        logits: The logit of each pixel, (n, height, width).
        gates: Each gate by its hook point, (n, h, w).
    """

    logits: Any
    gates: Any


def segment(model: nn.Module, params: Any, image: np.ndarray) -> Segmented:
    """Run a model on images in [0, 1], and read its gates."""
    run = _runner(model, "as they are")
    parts = [run(params, image[i : i + _BATCH]) for i in range(0, len(image), _BATCH)]
    return jax.tree.map(lambda *each: np.concatenate(each), *jax.device_get(parts))


def dice_with(
    model: nn.Module, params: Any, image: np.ndarray, mask: np.ndarray, how: str
) -> float:
    """Return Dice with other gates: `"open"`, or `"even"`, each its mean over the positions."""
    run = _runner(model, how)
    logits = [run(params, image[i : i + _BATCH]).logits for i in range(0, len(image), _BATCH)]
    return dice(np.concatenate(jax.device_get(logits)) > 0, mask)


def dice(marked: np.ndarray, mask: np.ndarray) -> float:
    """Return twice the pixels that are right over those marked plus those of the object.

    Example:
        >>> dice(np.array([True, True, False]), np.array([True, False, False]))
        0.6666666666666666
    """
    return float(2 * (marked & mask).sum() / max(marked.sum() + mask.sum(), 1))


def cells(part: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Return what each cell of a coarser grid belongs to: the first in `PARTS` after background.

    A cell with a pixel of the target is the target's; one without, but with a pixel of another
    digit, is the other digit's, and so on.

    Example:
        >>> cells(np.array([[[0, 3, 0, 0], [2, 0, 0, 0]]]), (1, 2)).tolist()
        [[[2, 0]]]
    """
    n, height, width = part.shape
    rows, columns = grid
    split = part.reshape(n, rows, height // rows, columns, width // columns)
    ranked = np.where(split == 0, len(PARTS), split).min((2, 4))
    return np.where(ranked == len(PARTS), 0, ranked)


def gate_scores(gate: np.ndarray, part: np.ndarray) -> dict[str, float]:
    """Score a gate against what the cells of its grid belong to.

    Args:
        gate: The gate, (n, h, w).
        part: What each pixel belongs to, (n, height, width). Images without the target are left
            out.

    Returns:
        `pointing`, the share of images where it is widest open on the target; `iou`, of the cells
        where it is open by half or more; `iou_top`, of as many most open cells as the target has;
        `auc`, over all cells, and `auc_ink`, over those of digits and clutter alone; and its mean
        opening on the target, other digits, clutter and background.
    """
    shown = (part == TARGET).any((1, 2))
    gate, kinds = gate[shown], cells(part[shown], gate.shape[1:])
    flat = gate.reshape(len(gate), -1).astype(np.float32)
    owner = kinds.reshape(len(gate), -1)
    target, ink = owner == TARGET, owner > 0
    ranks = np.argsort(np.argsort(-flat, axis=-1, kind="stable"), axis=-1)
    return {
        "pointing": float(pointing_game(jnp.asarray(flat), jnp.asarray(target)).mean()),
        "iou": _iou(flat >= 0.5, target),
        "iou_top": _iou(ranks < target.sum(-1, keepdims=True), target),
        "auc": float(roc_auc(flat.ravel(), target.ravel())),
        "auc_ink": float(roc_auc(flat.ravel(), target.ravel(), ink.ravel())),
        **{
            name.replace(" ", "_"): float(flat[owner == number].mean())
            for number, name in enumerate(PARTS)
            if (owner == number).any()
        },
        "chance": float(target.mean()),
    }


def _iou(chosen: np.ndarray, target: np.ndarray) -> float:
    return float((chosen & target).sum() / max((chosen | target).sum(), 1))


def _opened(gate: jax.Array, site: Site) -> jax.Array:
    return jnp.ones_like(gate)


def _evened(gate: jax.Array, site: Site) -> jax.Array:
    return jnp.broadcast_to(gate.mean((1, 2), keepdims=True), gate.shape)


_EDITS: Mapping[str, Any] = {"open": {GATES: _opened}, "even": {GATES: _evened}}


@functools.cache
def _runner(model: nn.Module, how: str) -> Callable[..., Segmented]:
    """Build a jitted function from parameters and images to logits and gates."""
    has_gates = bool(getattr(model, "gated_levels", ()))
    fn = intervene(model.apply, _EDITS[how]) if how in _EDITS else model.apply

    @jax.jit
    def run(params: Any, image: jax.Array) -> Segmented:
        if not has_gates:
            return Segmented(fn({"params": params}, image), {})
        logits, gates = capture(fn, GATES)({"params": params}, image)
        return Segmented(logits, gates)

    return run

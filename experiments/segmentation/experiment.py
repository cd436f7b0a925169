"""Experiments that mark the pixels of an object, and score the gates that they look through."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from attn_jax.hooks import Site, intervene, tap
from attn_jax.measure import report_card
from attn_jax.train import TrainConfig, mask_loss, read_metrics
from attn_jax.train.protocols import WEIGHT
from experiments.experiment import Experiment
from experiments.segmentation.gates import TARGET, cells, dice, dice_with, gate_scores, segment
from experiments.truth.evidence import Evidence

RECIPE = TrainConfig(
    epochs=4,
    batch_size=32,
    learning_rate=3e-3,
    warmup=0.1,
    best="validation/dice",
    eval_batch_size=100,
)
"""Settings found by trials on the validation split."""

_JUDGED = 24
_SHOWN = 6


@dataclasses.dataclass(frozen=True)
class SegmentationExperiment(Experiment):
    """Mark pixels by a model that maps `(n, height, width)` to a logit for each pixel.

    The last row of metrics has `test/dice`, over all pixels of the test images; `test/dice_shown`,
    the mean over the images that show the object; and for a model with gates their scores, such as
    `gates.1/pointing`, and `open/dice` and `even/dice`, with all gates open and with each gate
    equal at all positions.
    """

    inputs: ClassVar[tuple[str, ...]] = ("image",)
    has_dropout: ClassVar[bool] = False

    def loss(self, outputs: jax.Array, batch: Mapping[str, jax.Array]) -> Any:
        """Return the loss of the mask, and Dice."""
        return mask_loss(outputs, batch["part"] == TARGET, batch.get(WEIGHT))

    def example(self) -> Mapping[str, jax.Array]:
        """Return a blank image of the smallest size that the model takes."""
        side = 2 ** (len(self.sized_model().features) - 1)
        return {"image": jnp.zeros((1, side, side))}

    def on_epoch(self, params: Any, row: Mapping[str, Any], run: Path) -> Mapping[str, float]:
        """Score the gates, and the mask without them, on the test split after the last epoch."""
        if row["epoch"] != self.train.epochs:
            return {}
        model, (image, part) = self.sized_model(), self._test()
        mask = part == TARGET
        segmented = segment(model, params, image)
        shown = mask.any((1, 2))
        each = [dice(a, b) for a, b in zip(segmented.logits[shown] > 0, mask[shown], strict=True)]
        scores = {"test/dice_shown": float(np.mean(each))}
        for name, gate in segmented.gates.items():
            scores |= {f"{_level(name)}/{k}": v for k, v in gate_scores(gate, part).items()}
        if segmented.gates:
            scores |= {
                f"{how}/dice": dice_with(model, params, image, mask, how)
                for how in ("open", "even")
            }
        return scores

    def _test(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the images of the test split in [0, 1], and what each pixel belongs to."""
        test = self.task.load()["test"][0]
        return np.asarray(self.task.prepare(test)["image"]), test["part"]

    def draw(self, params: Any, run: Path) -> None:
        """Draw test images with the mask and the gates, and the report card of the coarsest."""
        from experiments.report import draw_curves, save_card
        from experiments.report.segmentation import save_segments, save_viewer

        model, (image, part) = self.sized_model(), self._test()
        shown = np.flatnonzero((part == TARGET).any((1, 2)))[:_SHOWN]
        segmented = segment(model, params, image[shown])
        draw_curves(run)
        save_segments(run, image[shown], part[shown], segmented, read_metrics(run)[-1])
        evidence = self.evidence(params)
        if evidence is not None:
            card = report_card(
                evidence.fn,
                evidence.inputs,
                attention=evidence.attention,
                target=evidence.target,
                objects=evidence.truth,
                normalized=False,
                resample=None,
            )
            save_card(run, card)
            coarsest = min(segmented.gates.values(), key=lambda gate: gate.size)
            save_viewer(run, image[shown[0]], coarsest[0])


@dataclasses.dataclass(frozen=True)
class GatedSegmentation(SegmentationExperiment):
    """Segmentation through gates, whose truth is the cells that hold the object."""

    def evidence(self, params: Any) -> Evidence | None:
        """Return images with the object, and the cells of the coarsest gate that hold it.

        The output is the logit of the object's pixels less that of all others, the mean of each.
        """
        model, (image, part) = self.sized_model(), self._test()
        if not model.gated_levels:
            return None
        chosen = np.flatnonzero((part == TARGET).any((1, 2)))[:_JUDGED]
        level = max(model.gated_levels)
        grid = tuple(side // 2**level for side in image.shape[1:])
        return Evidence(
            fn=functools.partial(_contrast, model, params, level),
            inputs=(image[chosen], part[chosen] == TARGET),
            target=np.ones(len(chosen), np.int32),
            truth=(cells(part[chosen], grid) == TARGET).reshape(len(chosen), -1),
            attention=f"gates.{level}.weights",
            metrics=("test/dice", f"gates.{level}/pointing", f"gates.{level}/iou_top"),
            normalized=False,
        )


def _level(name: str) -> str:
    """Return the name of a gate without that of its hook point, for metrics."""
    return name.removesuffix(".gate")


def _contrast(
    model: nn.Module, params: Any, level: int, inputs: tuple[jax.Array, jax.Array]
) -> jax.Array:
    """Return the mean logit of the object less that of all other pixels, (n,).

    The gate has a hook point of its own here, as weights of one query over the cells.
    """
    image, mask = inputs

    def exposed(gate: jax.Array, site: Site) -> jax.Array:
        weights = gate.reshape(len(gate), 1, 1, -1)
        return tap("weights", weights).reshape(gate.shape)

    fn = intervene(model.apply, {f"gates.{level}.gate": exposed})
    logits = fn({"params": params}, image)
    inside = (logits * mask).sum((1, 2)) / mask.sum((1, 2))
    outside = (logits * ~mask).sum((1, 2)) / (~mask).sum((1, 2))
    return inside - outside

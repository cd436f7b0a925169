"""Experiments that find objects, and score where the queries that find them look."""

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
from attn_jax.models import Detections
from attn_jax.train import TrainConfig, read_metrics, set_loss
from attn_jax.train.protocols import WEIGHT
from experiments.detection.average_precision import THRESHOLDS, average_precision
from experiments.detection.looking_in_boxes import (
    CROSS,
    Detected,
    box_scores,
    cells_in_box,
    detect,
    found_boxes,
    heads_of,
    true_boxes,
)
from experiments.experiment import Experiment
from experiments.truth.evidence import Evidence

RECIPE = TrainConfig(
    epochs=18,
    batch_size=32,
    learning_rate=1.5e-3,
    warmup=0.05,
    weight_decay=1e-4,
    clip_norm=5.0,
    best="validation/ap50",
    eval_batch_size=100,
    steps_per_call=40,
)
"""Settings found by trials on the validation split."""

OWN = "layers.*.own.weights"
"""The hook points of the attention of the query that found the digit."""

_JUDGED = 48
_SHOWN = 6


@dataclasses.dataclass(frozen=True)
class DetectionExperiment(Experiment):
    """Find digits by a model that maps `(n, height, width)` to classes and boxes of queries.

    The last row of metrics has `test/ap50` and `test/ap`, COCO's average precision; the same for
    small, medium and large digits (`test/ap50_small`), a third of the digits each, and by the
    number of digits on the canvas (`test/ap50_of_3`); and `attention/pointing`,
    `attention/mass` and `attention/area`.
    """

    inputs: ClassVar[tuple[str, ...]] = ("image",)
    has_dropout: ClassVar[bool] = False

    def loss(self, outputs: Detections, batch: Mapping[str, jax.Array]) -> Any:
        """Return the loss of the set, and how many of the digits it names."""
        return set_loss(*outputs, batch["label"], batch["box"], batch.get(WEIGHT))

    def example(self) -> Mapping[str, jax.Array]:
        """Return a blank canvas, without reading the task's."""
        return {"image": jnp.zeros((1, self.task.side, self.task.side))}

    def on_epoch(self, params: Any, row: Mapping[str, Any], run: Path) -> Mapping[str, float]:
        """Compute average precision on validation, and after the last epoch also on test."""
        batch = self._split("validation")
        scores = {"validation/ap50": self._precision(batch, self._detect(params, batch), (0.5,))}
        if row["epoch"] == self.train.epochs:
            test = self._split("test")
            detected = self._detect(params, test)
            scores |= {f"test/{k}": v for k, v in self.precisions(test, detected).items()}
            grid = self.sized_model().grid((self.task.side,) * 2)
            seen = box_scores(detected, test["label"], test["box"], grid)
            scores |= {f"attention/{name}": value for name, value in seen.items()}
        return scores

    def precisions(self, batch: Mapping[str, np.ndarray], detected: Detected) -> dict[str, float]:
        """Return average precision over all digits, by their area and by their number."""
        label, box = batch["label"], batch["box"]
        scores = {
            "ap50": self._precision(batch, detected, (0.5,)),
            "ap": self._precision(batch, detected),
        }
        area = (box[..., 2:] - box[..., :2]).prod(-1)[label >= 0]
        low, high = np.quantile(area, (1 / 3, 2 / 3))
        ranges = {"small": (0.0, low), "medium": (low, high), "large": (high, np.inf)}
        for name, areas in ranges.items():
            for key, thresholds in (("ap50", (0.5,)), ("ap", THRESHOLDS)):
                value = self._precision(batch, detected, thresholds, areas=areas)
                scores[f"{key}_{name}"] = value
        count = (label >= 0).sum(-1)
        for number in range(1, self.task.most + 1):
            if (chosen := count == number).any():
                some = {name: array[chosen] for name, array in batch.items()}
                few = Detected(*(array[chosen] for array in detected))
                scores[f"ap50_of_{number}"] = self._precision(some, few, (0.5,))
                scores[f"ap_of_{number}"] = self._precision(some, few)
        return scores

    def _precision(
        self,
        batch: Mapping[str, np.ndarray],
        detected: Detected,
        thresholds: tuple[float, ...] = THRESHOLDS,
        **options: Any,
    ) -> float:
        truth = true_boxes(batch["label"], batch["box"])
        found = found_boxes(detected)
        return average_precision(found, truth, thresholds=thresholds, **options)

    def _split(self, split: str) -> dict[str, np.ndarray]:
        prepared = self.task.prepare(self.task.load()[split][0])
        return {name: np.asarray(array) for name, array in prepared.items()}

    def _detect(self, params: Any, batch: dict[str, np.ndarray]) -> Detected:
        return detect(self.sized_model(), params, batch)

    def evidence(self, params: Any) -> Evidence:
        """Return digits that were found, each with the cells in its box and its query.

        The output is the class of the query that the optimal assignment gives the digit.
        """
        test = {name: array[:_JUDGED] for name, array in self._split("test").items()}
        detected, label, box = self._detect(params, test), test["label"], test["box"]
        image, place = np.nonzero(label >= 0)
        query = detected.match[image, place]
        found = detected.chance[image, query].argmax(-1) == label[image, place]
        # The first of each image that was named, so that no image weighs more than another.
        _, first = np.unique(image[found], return_index=True)
        rows = np.flatnonzero(found)[first]
        image, place, query = image[rows], place[rows], query[rows]
        grid = self.sized_model().grid((self.task.side,) * 2)
        return Evidence(
            fn=functools.partial(_named, self.sized_model(), params),
            inputs=(test["image"][image], query),
            target=label[image, place],
            truth=cells_in_box(box[image, place], grid),
            attention=OWN,
            metrics=("test/ap50", "test/ap", "attention/pointing"),
            resample=None,
        )

    def draw(self, params: Any, run: Path) -> None:
        """Draw test canvases with what was found and where it looked, and the report card."""
        from experiments.report import draw_curves, save_card
        from experiments.report.detection import save_detections, save_viewer

        test = {name: array[:_SHOWN] for name, array in self._split("test").items()}
        detected = self._detect(params, test)
        grid = self.sized_model().grid((self.task.side,) * 2)
        draw_curves(run)
        save_detections(run, test, detected, grid, read_metrics(run)[-1])
        evidence = self.evidence(params)
        card = report_card(
            evidence.fn,
            evidence.inputs,
            attention=evidence.attention,
            target=evidence.target,
            objects=evidence.truth,
            resample=None,
            adversarial=False,
        )
        save_card(run, card)
        heads = heads_of(self.sized_model(), params, test["image"][0])
        save_viewer(run, test, detected, heads, grid)


def _named(model: nn.Module, params: Any, inputs: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Return the logits of the class that one query of each image gives, (n, classes + 1).

    The attention of that query alone has hook points of its own here, one for each layer.
    """
    image, query = inputs

    def exposed(weights: jax.Array, site: Site) -> jax.Array:
        index = query[:, None, None, None]
        with jax.named_scope("own"):
            row = tap("weights", jnp.take_along_axis(weights, index, 2))
        is_own = jnp.arange(weights.shape[2])[None, None, :, None] == index
        return jnp.where(is_own, row, weights)

    found = intervene(model.apply, {CROSS: exposed})({"params": params}, image)
    return jnp.take_along_axis(found.logits[-1], query[:, None, None], 1)[:, 0]

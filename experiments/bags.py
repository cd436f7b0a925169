"""Experiments on bags of images, which score the bags and the attention over their images."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from attn_jax.hooks import capture
from attn_jax.measure import report_card, roc_auc
from attn_jax.tasks.images import IMAGE_SHAPE
from attn_jax.train import classification_loss, read_metrics
from experiments.experiment import Experiment
from experiments.truth.evidence import Evidence

_BAGS_ON_CARD = 256
_SHOWN = 4
_WEIGHTS = "pooling.attention.weights"


@dataclasses.dataclass(frozen=True)
class BagsExperiment(Experiment):
    """Classify bags by a model that takes images and a mask of those present.

    The last row of metrics has `test/bag_auc` and `test/instance_auc`: the area under the ROC curve
    of the model's output for bags, and of its attention for the images in positive bags.
    """

    inputs: ClassVar[tuple[str, ...]] = ("image", "present")

    def loss(self, outputs: jax.Array, batch: Mapping[str, jax.Array]) -> Any:
        """Return cross-entropy and accuracy."""
        return classification_loss(outputs, batch, label_smoothing=self.train.label_smoothing)

    def example(self) -> Mapping[str, jax.Array]:
        """Return a bag of one blank image, without reading the task's."""
        return {"image": jnp.zeros((1, 1, *IMAGE_SHAPE)), "present": jnp.ones((1, 1), bool)}

    def on_epoch(self, params: Any, row: Mapping[str, Any], run: Path) -> Mapping[str, float]:
        """Score model and attention, on validation after each epoch and on test after the last."""
        splits = ["validation", *(["test"] if row["epoch"] == self.train.epochs else [])]
        loaded = self.task.load()
        return {
            f"{split}/{name}": value
            for split in splits
            for name, value in self.areas(params, loaded[split][0]).items()
        }

    def areas(self, params: Any, bags: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Return the areas under the curves of bags, and of images in positive bags."""
        logits, weights = self.predict(params, bags)
        positive = bags["label"] == 1
        inside = bags["present"] & positive[:, None]
        return {
            "bag_auc": float(roc_auc(logits[:, 1] - logits[:, 0], positive)),
            "instance_auc": float(
                roc_auc(weights.ravel(), bags["instance"].ravel(), inside.ravel())
            ),
        }

    def predict(self, params: Any, bags: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return the logits of bags and the weight of each image."""
        batch = self.task.prepare(bags)
        logits, weights = _predictor(self.sized_model())(params, batch["image"], batch["present"])
        return np.asarray(logits), np.asarray(weights)[:, 0]

    def evidence(self, params: Any) -> Evidence:
        """Return positive bags, which the digits sought decide."""
        bags = self.task.load()["test"][0]
        chosen = np.flatnonzero(bags["label"] == 1)[:_BAGS_ON_CARD]
        few = {name: array[chosen] for name, array in bags.items()}
        batch = self.task.prepare(few)
        return Evidence(
            fn=functools.partial(_apply, self.sized_model(), params),
            inputs=(batch["image"], batch["present"]),
            target=few["label"],
            truth=few["instance"],
            mask=few["present"],
            attention=_WEIGHTS,
            metrics=("test/bag_auc", "test/instance_auc"),
        )

    def draw(self, params: Any, run: Path) -> None:
        """Draw some bags with the attention over them, and the report card of the attention."""
        from experiments.report import Sheet, save_card, save_sheet
        from experiments.report.bags import draw_bags

        bags = self.task.load()["test"][0]
        logits, weights = self.predict(params, bags)
        positive = bags["label"] == 1
        chosen = [*np.flatnonzero(positive)[:_SHOWN], *np.flatnonzero(~positive)[:_SHOWN]]
        figure = draw_bags({n: a[chosen] for n, a in bags.items()}, logits[chosen], weights[chosen])
        last = read_metrics(run)[-1]
        caption = (
            f"Bags of digits, positive if they hold a {self.task.digit}. Under each digit is its "
            f"attention weight, and each {self.task.digit} is framed. Only whole bags were labeled."
        )
        if "test/bag_auc" in last:
            caption += (
                f" After training on {self.task.train:,} bags, the area under the ROC curve is "
                f"{last['test/bag_auc']:.3f} for {len(positive):,} test bags, and "
                f"{last['test/instance_auc']:.3f} for the digits in positive bags, by their "
                "attention weight. Ilse, Tomczak and Welling (2018) report about 0.95 and more for "
                "bags, given enough training bags, and no number for instances."
            )
        save_sheet(run, Sheet("bags", "Where it looks in a bag", caption, figure))
        few = {name: array[:_BAGS_ON_CARD] for name, array in bags.items()}
        batch = self.task.prepare(few)
        inputs = (batch["image"], batch["present"])
        card = report_card(
            functools.partial(_apply, self.sized_model(), params),
            inputs,
            attention=_WEIGHTS,
            mask=few["present"],
            target=few["label"],
        )
        save_card(run, card)


def _apply(model: nn.Module, params: Any, inputs: tuple[jax.Array, jax.Array]) -> Any:
    return model.apply({"params": params}, *inputs)


@functools.cache
def _predictor(model: nn.Module) -> Callable[..., Any]:
    """Build a jitted function from parameters and bags to logits and weights."""

    @jax.jit
    def predict(params: Any, image: jax.Array, present: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits, captured = capture(model.apply, _WEIGHTS)({"params": params}, image, present)
        return logits, captured[_WEIGHTS]

    return predict

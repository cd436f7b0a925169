"""Experiments that classify images, with figures of the attention over them."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from attn_jax.measure import report_card
from attn_jax.models import ImageClassifier, PatchStem
from attn_jax.nn import apply_with_weights
from attn_jax.tasks import Mnist
from attn_jax.tasks.images import IMAGE_SHAPE
from attn_jax.train import TrainConfig, classification_loss
from experiments.experiment import Experiment
from experiments.stages import announce

RECIPE = TrainConfig(
    epochs=8,
    batch_size=128,
    learning_rate=3e-3,
    warmup=0.05,
    weight_decay=0.05,
    steps_per_call=100,
)
"""Settings of the `mnist_*` models, found by trials on the validation split."""

TASK = Mnist(warp=1.0)
"""MNIST as the `mnist_*` models learn from it."""

STEM = PatchStem(features=(24, 48, 64, 64), sizes=(4, 4, 3, 3), strides=(2, 2, 1, 1), residual=True)
"""How the `mnist_*` models make 7×7 tokens of an image."""


def classifier(attention: nn.Module, stem: nn.Module = STEM) -> ImageClassifier:
    """Return the model of the `mnist_*` experiments, which differ in their attention."""
    return ImageClassifier(stem=stem, attention=attention, hidden_dim=256)


_IMAGES_PER_CALL = 1000
_IMAGES_ON_CARD = 256
_IMAGES_OF_A_STREAM = 10_000


def resample_patches(
    grid: tuple[int, int],
    images: Float[Array, "n height width"],
    keep: Bool[Array, "n k"],
    others: Float[Array, "n height width"],
) -> Float[Array, "n height width"]:
    """Replace patches of images by those of other images, for `report_card(resample=...)`.

    Args:
        grid: The rows and columns of the tokens; each stands for an equal part of the image.
        images: The images.
        keep: True for the tokens, row by row, whose patches stay.
        others: The images that the other patches come from.
    """
    rows, columns = (
        np.arange(side) * n // side for n, side in zip(grid, images.shape[1:], strict=True)
    )
    return jnp.where(keep.reshape(-1, *grid)[:, rows][:, :, columns], images, others)


def _test_images(task: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the test images and their labels, the first of them if they are streamed."""
    if not task.streamed:
        test = task.load()["test"][0]
        return test["image"], test["label"]
    records = task.records()["test"]
    rows = [records[index] for index in range(min(len(records), _IMAGES_OF_A_STREAM))]
    images, labels = (np.stack([row[name] for row in rows]) for name in ("image", "label"))
    return images, labels


@dataclasses.dataclass(frozen=True)
class ImageExperiment(Experiment):
    """Classify images by a model that takes `(n, height, width)` and attends to a grid."""

    inputs: ClassVar[tuple[str, ...]] = ("image",)

    def loss(self, outputs: jax.Array, batch: Mapping[str, jax.Array]) -> Any:
        """Return cross-entropy and accuracy."""
        return classification_loss(outputs, batch, label_smoothing=self.train.label_smoothing)

    def example(self) -> Mapping[str, jax.Array]:
        """Return a blank image, without reading the task's."""
        return {"image": jnp.zeros((1, *IMAGE_SHAPE))}

    def draw(self, params: Any, run: Path) -> None:
        """Draw test digits with the attention over them, and the report card of the attention."""
        from experiments.report import draw_figures

        images, labels = _test_images(self.task)
        model = self.sized_model()
        apply = jax.jit(lambda x: apply_with_weights(model, {"params": params}, x))
        outputs = []
        announce(f"Classifying {len(images):,} test images")
        for start in range(0, len(images), _IMAGES_PER_CALL):
            batch = {"image": images[start : start + _IMAGES_PER_CALL]}
            outputs.append(jax.device_get(apply(self.task.prepare(batch)["image"])))
        logits = np.concatenate([logits for logits, _ in outputs])
        (name,) = outputs[0][1]
        weights = np.concatenate([captured[name] for _, captured in outputs])[..., 0, :]
        grid = model.grid(images.shape[1:])
        few = self.task.prepare({"image": images[:_IMAGES_ON_CARD]})["image"]
        announce("Judging the attention for the report card")
        card = report_card(
            lambda x: model.apply({"params": params}, x),
            few,
            attention=name,
            resample=functools.partial(resample_patches, grid),
        )
        announce("Drawing the figures")
        draw_figures(run, images, labels, logits.argmax(-1), weights, grid, card=card)


@dataclasses.dataclass(frozen=True)
class PlainImageExperiment(ImageExperiment):
    """Classify images by a model without attention, to compare with."""

    def draw(self, params: Any, run: Path) -> None:
        """Draw the learning curves."""
        from experiments.report import draw_curves

        draw_curves(run)

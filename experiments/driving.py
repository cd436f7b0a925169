"""Experiments on drivers, which score their actions, and the attention to the cars around."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from attn_jax.hooks import capture
from attn_jax.measure import report_card
from attn_jax.train.protocols import WEIGHT
from experiments.experiment import Experiment
from experiments.truth.evidence import Evidence
from experiments.truth.measuring import scores

_ON_CARD = 256
_SHOWN = 6
_SCALE = 0.5
"""The acceleration in m/s² that counts as one in the loss, about its standard deviation."""


class Driven(NamedTuple):
    """What a model says of scenes.

    Attributes:
        acceleration: In m/s², (n,).
        change: The logits of staying and of changing left or right, (n, 3).
        weights: The attention of the two queries to the other cars, (n, 2, k − 1), the mean over
            the heads.
    """

    acceleration: np.ndarray
    change: np.ndarray
    weights: np.ndarray


@dataclasses.dataclass(frozen=True)
class DrivingExperiment(Experiment):
    """Predict a driver by a model that takes cars, and compare its attention with the truth.

    The last row of metrics has `test/r2`, the share of the variance of the acceleration that is
    explained, without the noise that nobody can explain; `test/accuracy` of the lane, and
    `test/changes_found`, of the changes alone; `test/leader`, the share of scenes where one
    car decides the acceleration in which it has the highest weight; and `test/lane_precision`, of
    as many top cars as matter to the lane, the share that does. Beside them stand the same of the
    nearest cars: `test/nearest_ahead` and `test/nearest_precision`.
    """

    inputs: ClassVar[tuple[str, ...]] = ("cars", "exists")
    has_dropout: ClassVar[bool] = False

    def loss(self, outputs: tuple[jax.Array, jax.Array], batch: Mapping[str, jax.Array]) -> Any:
        """Return the squared error of the acceleration and the cross-entropy of the lane."""
        acceleration, change = outputs
        label = batch["change"]
        weight = batch.get(WEIGHT, jnp.ones(label.shape, jnp.float32))
        error = jnp.square((acceleration - batch["acceleration"]) / _SCALE)
        entropy = -jnp.take_along_axis(jax.nn.log_softmax(change), label[:, None], 1)[:, 0]
        total = weight.sum()
        parts = {
            "loss": error + entropy,
            "squared_error": error * _SCALE**2,
            "accuracy": (change.argmax(-1) == label).astype(jnp.float32),
        }
        metrics = {name: ((weight * each).sum(), total) for name, each in parts.items()}
        return metrics["loss"][0] / jnp.maximum(total, 1.0), metrics

    def example(self) -> Mapping[str, jax.Array]:
        """Return an empty road, without simulating the task's."""
        count = self.task.seen[1] + 1
        return {"cars": jnp.zeros((1, count, 4)), "exists": jnp.ones((1, count), bool)}

    def on_epoch(self, params: Any, row: Mapping[str, Any], run: Path) -> Mapping[str, float]:
        """Score the test scenes after the last epoch."""
        if row["epoch"] < self.train.epochs:
            return {}
        scenes = self._scenes("test")
        driven = self.predict(params, scenes)
        return {f"test/{name}": value for name, value in drive_scores(scenes, driven).items()}

    def _scenes(self, split: str) -> dict[str, np.ndarray]:
        prepared = self.task.prepare(self.task.bucket(split))
        return {name: np.asarray(array) for name, array in prepared.items()}

    def predict(self, params: Any, scenes: Mapping[str, np.ndarray]) -> Driven:
        """Return what the model says of prepared scenes, and where it looks."""
        outputs = _predictor(self.sized_model())(params, scenes["cars"], scenes["exists"])
        return Driven(*map(np.asarray, outputs))

    def evidence(self, params: Any) -> Evidence:
        """Return test scenes, in which one car or more makes the driver slower.

        The output is how much the acceleration rises above that on a free road; class 0, which is
        to be explained, is that it falls.
        """
        scenes = self._scenes("test")
        reacted = scenes["reacted"][:, 0, 1:]
        few = np.flatnonzero(reacted.any(-1))[:_ON_CARD]
        return Evidence(
            fn=functools.partial(_gain, self.sized_model(), params),
            inputs=tuple(jnp.asarray(scenes[name][few]) for name in ("cars", "exists", "free")),
            target=np.zeros(len(few), np.int32),
            truth=reacted[few],
            mask=scenes["exists"][few, 1:],
            attention=self.model.attention_pattern,
            query=0,
            metrics=("test/r2", "test/leader", "test/accuracy", "test/lane_precision"),
        )

    def draw(self, params: Any, run: Path) -> None:
        """Draw test scenes with the attention to the cars, and the report card."""
        from experiments.report import draw_curves, save_card
        from experiments.report.driving import save_driving

        scenes = self._scenes("test")
        driven = self.predict(params, scenes)
        draw_curves(run)
        save_driving(run, scenes, driven, _SHOWN, self.task.lanes, drive_scores(scenes, driven))
        evidence = self.evidence(params)
        card = report_card(
            evidence.fn,
            evidence.inputs,
            attention=evidence.attention,
            target=evidence.target,
            mask=evidence.mask,
            objects=evidence.truth,
            query=0,
            adversarial=False,
        )
        save_card(run, card)


def drive_scores(scenes: Mapping[str, np.ndarray], driven: Driven) -> dict[str, float]:
    """Return how well a model drives, and how well its attention finds the cars that count.

    Args:
        scenes: Prepared scenes.
        driven: What the model says of them.
    """
    label, exists = scenes["change"], scenes["exists"][:, 1:]
    right = driven.change.argmax(-1) == label
    error = np.square(driven.acceleration - scenes["driven"])
    leader, lane = (scenes["reacted"][:, number, 1:] for number in range(2))
    one, some = leader.sum(-1) == 1, lane.any(-1)
    ahead = scenes["place"][:, 1:] - scenes["place"][:, :1]
    close = -np.abs(ahead)

    def pointing(values: np.ndarray) -> float:
        return scores(values[one], leader[one], exists[one])["pointing"]

    def precision(values: np.ndarray) -> float:
        return scores(values[some], lane[some], exists[some])["precision"]

    return {
        "r2": float(1 - error.mean() / scenes["driven"].var()),
        "accuracy": float(right.mean()),
        "changes_found": float(right[label > 0].mean()),
        "leader": pointing(driven.weights[:, 0]),
        "nearest_ahead": pointing(np.where(ahead > 0, close, -np.inf)),
        "lane_precision": precision(driven.weights[:, 1]),
        "nearest_precision": precision(close),
    }


def _gain(model: nn.Module, params: Any, inputs: tuple[jax.Array, ...]) -> jax.Array:
    """Return the acceleration less that on a free road, (n,)."""
    cars, exists, free = inputs
    return model.apply({"params": params}, cars, exists)[0] - free


@functools.cache
def _predictor(model: nn.Module) -> Callable[..., Any]:
    """Build a jitted function from parameters and scenes to what :class:`Driven` holds."""

    @jax.jit
    def predict(params: Any, cars: jax.Array, exists: jax.Array) -> tuple[jax.Array, ...]:
        run = capture(model.apply, model.attention_pattern)
        outputs, captured = run({"params": params}, cars, exists)
        (weights,) = captured.values()
        return *outputs, weights.mean(1)

    return predict

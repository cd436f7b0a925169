"""Segmentation on blocks: it learns a batch, its gates are scored, and its page is written."""

import dataclasses
import json
from types import MappingProxyType

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from attn_jax.hooks import capture
from attn_jax.models import UNet
from experiments.configs.segment_gates import experiment as whole
from experiments.report import segmentation as drawing
from experiments.segmentation import gates


class Blocks:
    """Images of 16 by 16 with a bright block, to be marked, and a dark one."""

    sizes = MappingProxyType({})

    def load(self):
        rng = np.random.default_rng(0)
        image, part = np.zeros((2, 8, 16, 16), np.uint8)
        for i, j, one, kinds in zip(*rng.integers(0, 5, (2, 8)), image, part, strict=True):
            one[i : i + 4, j : j + 4], kinds[i : i + 4, j : j + 4] = 250, 1
            one[11:14, 10:14], kinds[11:14, 10:14] = 120, 2
        bucket = {"image": image, "part": part}
        return {split: [bucket] for split in ("train", "validation", "test")}

    def prepare(self, batch, rng=None):
        image = jnp.asarray(batch["image"], jnp.float32) / 255
        return {"part": jnp.asarray(batch["part"]), "image": image}


EXPERIMENT = dataclasses.replace(
    whole,
    model=UNet(features=(4, 6), gated_levels=(0,)),
    task=Blocks(),
    train=dataclasses.replace(whole.train, epochs=1),
)


@pytest.fixture(scope="module")
def trained():
    batch = EXPERIMENT.task.prepare(EXPERIMENT.task.load()["train"][0])
    params = EXPERIMENT.init(jax.random.key(0), EXPERIMENT.example())
    EXPERIMENT.check_params(params)
    optimizer = optax.adam(2e-2)
    state = optimizer.init(params)

    @jax.jit
    def step(params, state):
        def objective(params):
            return EXPERIMENT.loss(EXPERIMENT.apply(params, batch), batch)

        gradients, metrics = jax.grad(objective, has_aux=True)(params)
        updates, state = optimizer.update(gradients, state)
        return optax.apply_updates(params, updates), state, metrics["dice"]

    dice = (0.0, 1.0)
    for _ in range(120):
        params, state, dice = step(params, state)
    assert dice[0] / dice[1] > 0.98
    return params


def test_the_last_row_scores_gates(trained, tmp_path):
    row = EXPERIMENT.on_epoch(trained, {"epoch": 1}, tmp_path)
    assert row["test/dice_shown"] > 0.98
    assert row["gates.0/chance"] == pytest.approx(16 / 256)
    assert 0.9 < row["even/dice"] <= 1
    assert 0.9 < row["open/dice"] <= 1
    loaded = EXPERIMENT.task.load()["test"][0]
    image = np.asarray(EXPERIMENT.task.prepare(loaded)["image"])
    segmented = gates.segment(EXPERIMENT.model, trained, image)
    drawing.save_segments(tmp_path, image, loaded["part"], segmented, row | {"test/dice": 0.99})
    drawing.save_viewer(tmp_path, image[0], segmented.gates["gates.0.gate"][0])
    index = json.loads((tmp_path / "figures" / "index.json").read_text())
    assert [entry["name"] for entry in index["figures"]] == ["segments", "gates", "viewer"]


def test_evidence_is_the_gate_and_the_object(trained):
    evidence = EXPERIMENT.evidence(trained)
    output, captured = jax.jit(capture(evidence.fn, evidence.attention))(evidence.inputs)
    (weights,) = captured.values()
    image, mask = evidence.inputs
    segmented = gates.segment(EXPERIMENT.model, trained, image)
    gate = segmented.gates["gates.0.gate"]
    np.testing.assert_allclose(weights[:, 0, 0], gate.reshape(8, -1), atol=1e-6)
    np.testing.assert_array_equal(evidence.truth, mask.reshape(8, -1))
    by_hand = [
        logit[inside].mean() - logit[~inside].mean()
        for logit, inside in zip(segmented.logits, mask, strict=True)
    ]
    np.testing.assert_allclose(output, by_hand, rtol=1e-4)


def test_scores_of_a_gate_by_hand():
    part = np.zeros((2, 4, 4), np.uint8)
    part[0, :2, :2], part[0, 2:, 2:] = 1, 2  # the second image lacks the object
    gate = np.array([[[0.9, 0.6], [0.1, 0.7]], [[1.0, 1.0], [1.0, 1.0]]])
    scores = gates.gate_scores(gate, part)
    assert scores["pointing"] == 1
    assert scores["iou"] == pytest.approx(1 / 3)
    assert scores["iou_top"] == 1
    assert scores["auc"] == 1
    assert scores["auc_ink"] == 1
    assert scores["target"] == pytest.approx(0.9)
    assert scores["other_digit"] == pytest.approx(0.7)
    assert scores["background"] == pytest.approx(0.35)
    assert scores["chance"] == 0.25

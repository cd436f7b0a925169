"""Detection of blocks: it learns a batch, its attention is scored, and its page is written."""

import dataclasses
import json
from types import MappingProxyType

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from attn_jax.hooks import capture
from attn_jax.models import Detector, PatchStem
from experiments.configs.detect_digits import experiment as whole
from experiments.detection import looking_in_boxes as looking
from experiments.report import detection as drawing


class Blocks:
    """Canvases of 16 by 16 with a bright block on the left and, in some, a dark one too."""

    sizes = MappingProxyType({"num_classes": 2})
    side, most = 16, 2

    def load(self):
        rng = np.random.default_rng(0)
        image = np.zeros((6, 16, 16), np.uint8)
        box, label = np.zeros((6, 2, 4), np.float32), np.full((6, 2), -1, np.int32)
        for number, rows in enumerate(rng.integers(0, 11, (6, 2))):
            for place in range(1 + number % 2):
                top, left = int(rows[place]), 1 + 8 * place
                image[number, top : top + 5, left : left + 6] = 250 - 120 * place
                box[number, place], label[number, place] = (top, left, top + 5, left + 6), place
        bucket = {"image": image, "box": box, "label": label}
        return {split: [bucket] for split in ("train", "validation", "test")}

    def prepare(self, batch, rng=None):
        arrays = {name: jnp.asarray(array) for name, array in batch.items()}
        image = arrays["image"].astype(jnp.float32) / 255
        return arrays | {"image": image, "box": arrays["box"] / 16}


EXPERIMENT = dataclasses.replace(
    whole,
    model=Detector(PatchStem((16,), (4,), (2,)), num_queries=3, num_layers=2, hidden_dim=16),
    task=Blocks(),
    train=dataclasses.replace(whole.train, epochs=1),
)


@pytest.fixture(scope="module")
def trained():
    batch = EXPERIMENT.task.prepare(EXPERIMENT.task.load()["train"][0])
    params = EXPERIMENT.init(jax.random.key(0), EXPERIMENT.example())
    EXPERIMENT.check_params(params)
    optimizer = optax.adam(1e-2)

    @jax.jit
    def step(params, state):
        def objective(params):
            return EXPERIMENT.loss(EXPERIMENT.apply(params, batch), batch)

        gradients, metrics = jax.grad(objective, has_aux=True)(params)
        updates, state = optimizer.update(gradients, state)
        return optax.apply_updates(params, updates), state, metrics

    state, metrics = optimizer.init(params), {}
    for _ in range(200):
        params, state, metrics = step(params, state)
    assert metrics["accuracy"][0] == metrics["accuracy"][1] == 9
    assert metrics["iou"][0] / 9 > 0.8
    return params


def test_the_last_row_has_precision_and_where_queries_look(trained, tmp_path):
    row = EXPERIMENT.on_epoch(trained, {"epoch": 1}, tmp_path)
    assert row["validation/ap50"] == row["test/ap50"] == row["test/ap50_of_2"] == 1
    assert 0.5 < row["test/ap"] <= 1
    assert 0 < row["attention/mass"] + row["attention/other_mass"] <= 1
    batch = EXPERIMENT._split("test")
    detected = looking.detect(EXPERIMENT.sized_model(), trained, batch)
    drawing.save_detections(tmp_path, batch, detected, (8, 8), row)
    heads = looking.heads_of(EXPERIMENT.sized_model(), trained, batch["image"][0])
    np.testing.assert_allclose(heads.mean(0), detected.weights[0], atol=1e-6)
    drawing.save_viewer(tmp_path, batch, detected, heads, (8, 8))
    index = json.loads((tmp_path / "figures" / "index.json").read_text())
    names = [entry["name"] for entry in index["figures"]]
    assert names == ["detections", "looks", "precision", "viewer"]


def test_evidence_is_a_query_and_the_box_it_found(trained):
    evidence = EXPERIMENT.evidence(trained)
    logits, captured = jax.jit(capture(evidence.fn, evidence.attention))(evidence.inputs)
    assert (logits.argmax(-1) == evidence.target).all()
    batch = EXPERIMENT._split("test")
    detected = looking.detect(EXPERIMENT.sized_model(), trained, batch)
    last = captured["layers.1.cross_attention.own.weights"]
    rows = detected.weights[np.arange(6), evidence.inputs[1]]
    np.testing.assert_allclose(last.mean(1)[:, 0], rows, atol=1e-6)
    # A box of 5 by 6 pixels from an odd column on, on cells of 2 by 2.
    assert set(evidence.truth.sum(-1).tolist()) <= {6, 9}


def test_scores_of_attention_by_hand():
    box = np.array([[[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]]])
    weights = np.array([[[0.6, 0.1, 0.1, 0.2], [0.5, 0.1, 0.1, 0.3], [0.25] * 4]])
    detected = looking.Detected(np.zeros(0), np.zeros(0), np.array([[0, 1]]), weights)
    scores = looking.box_scores(detected, np.array([[4, 7]]), box, (2, 2))
    assert scores == pytest.approx(
        {"pointing": 0.5, "mass": 0.45, "area": 0.25, "other_mass": 0.35}
    )


def test_a_box_without_a_center_has_its_nearest_cell():
    inside = looking.cells_in_box(np.array([0.3, 0.55, 0.4, 0.7]), (2, 2))
    assert inside.tolist() == [False, True, False, False]

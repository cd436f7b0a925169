"""Questions about pictures: it learns a batch, its attention is scored, and its page is written."""

import dataclasses
import json

import jax
import numpy as np
import optax
import pytest

from attn_jax.hooks import capture
from attn_jax.models import CoAttentionNetwork, PatchStem
from attn_jax.tasks import VisualQuestions
from experiments.configs.shapes import experiment as whole
from experiments.report import visual_questions as drawing
from experiments.visual_questions.looking import Looked, cells_that_decide, look, looking_scores

EXPERIMENT = dataclasses.replace(
    whole,
    model=CoAttentionNetwork(stem=PatchStem((24,), (16,), (16,)), features=24, rounds=1),
    task=VisualQuestions(train=8, validation=2, test=24, questions=3),
    train=dataclasses.replace(whole.train, epochs=1, label_smoothing=0.0),
)


@pytest.fixture(scope="module")
def trained():
    batch = EXPERIMENT.task.prepare(EXPERIMENT.task.load()["train"][0])
    params = EXPERIMENT.init(jax.random.key(0), EXPERIMENT.example())
    EXPERIMENT.check_params(params)
    optimizer = optax.adam(5e-3)

    @jax.jit
    def step(params, state):
        def objective(params):
            return EXPERIMENT.loss(EXPERIMENT.apply(params, batch), batch)

        gradients, metrics = jax.grad(objective, has_aux=True)(params)
        updates, state = optimizer.update(gradients, state)
        return optax.apply_updates(params, updates), state, metrics

    state, metrics = optimizer.init(params), {}
    for _ in range(120):
        params, state, metrics = step(params, state)
    assert metrics["accuracy"][0] == metrics["accuracy"][1] == 24
    return params


def test_the_last_row_has_accuracies_and_where_it_looks(trained, tmp_path):
    assert EXPERIMENT.on_epoch(trained, {"epoch": 0}, tmp_path) == {}
    row = EXPERIMENT.on_epoch(trained, {"epoch": 1}, tmp_path)
    batch = EXPERIMENT._split("test")
    right = look(EXPERIMENT.sized_model(), trained, batch).logits.argmax(-1) == batch["label"]
    new = batch["is_new"]
    assert row["test/new"] == pytest.approx(right[new].mean())
    assert row["test/known"] == pytest.approx(right[~new].mean())
    assert 0 < row["test/question_only"] < 1
    assert 0 < row["attention/mass"] < 1
    assert 0 < row["attention/word_mass"] < 1
    assert row["attention/word_share"] == pytest.approx(
        (batch["keyword"].sum(-1) / (batch["question"] > 0).sum(-1)).mean()
    )


def test_evidence_is_a_question_and_the_cells_that_decide_it(trained):
    evidence = EXPERIMENT.evidence(trained)
    logits, captured = jax.jit(capture(evidence.fn, evidence.attention))(evidence.inputs)
    batch = EXPERIMENT._split("test")
    looked = look(EXPERIMENT.sized_model(), trained, batch)
    rows = [row for row in range(24) if batch["box"][row].any()]
    assert len(evidence.target) == len(rows)
    for number, row in enumerate(rows):
        asked = evidence.inputs[1][number]
        (place,) = np.flatnonzero((batch["question"][row] == asked).all(-1))
        assert evidence.target[number] == batch["label"][row, place]
        np.testing.assert_allclose(logits[number], looked.logits[row, place], atol=1e-4)
        weights = captured["round.0.cells.weights"][number, 0]
        np.testing.assert_allclose(weights, looked.cells[0, row, place], atol=1e-5)
        # Cells of 16 pixels, by their middles; the nearest alone if there is none in a box.
        expected = np.zeros(16, bool)
        for box in EXPERIMENT.task.pictures("test")[row].questions[place].boxes:
            inside = [
                box[0] <= 16 * i + 8 < box[2] and box[1] <= 16 * j + 8 < box[3]
                for i in range(4)
                for j in range(4)
            ]
            if any(inside):
                expected |= inside
            else:
                middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
                far = [
                    (16 * i + 8 - middle[0]) ** 2 + (16 * j + 8 - middle[1]) ** 2
                    for i in range(4)
                    for j in range(4)
                ]
                expected[int(np.argmin(far))] = True
        np.testing.assert_array_equal(evidence.truth[number], expected)


def test_questions_are_drawn_with_their_scores(trained, tmp_path):
    batch, model = EXPERIMENT._split("test"), EXPERIMENT.sized_model()
    looked = look(model, trained, batch)
    drawing.save_looks(tmp_path, EXPERIMENT.task, batch, looked, (4, 4), 2)
    drawing.save_scores(tmp_path, EXPERIMENT.scores(batch, looked))
    index = json.loads((tmp_path / "figures" / "index.json").read_text())
    assert [entry["name"] for entry in index["figures"]] == ["looks", "viewer", "scores"]
    answers = looked.logits.argmax(-1)
    (wrong, right) = drawing.choose(answers, batch["label"], 2)
    assert answers[wrong] != batch["label"][wrong]
    assert answers[right] == batch["label"][right]


def test_scores_of_attention_by_hand():
    batch = {
        "box": np.array([[[[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]], [[0.0] * 4] * 2]]),
        "keyword": np.array([[[True, False, False], [False, True, False]]]),
        "question": np.array([[[5, 6, 7], [5, 6, 0]]]),
    }
    cells = np.array([[[[0.5, 0.3, 0.1, 0.1], [0.25] * 4]], [[[0.1, 0.5, 0.2, 0.2], [0.25] * 4]]])
    words = np.array([[[[0.2, 0.5, 0.3], [0.1, 0.9, 0.0]]], [[[0.4, 0.3, 0.3], [0.3, 0.7, 0.0]]]])
    assert cells_that_decide(batch["box"], (2, 2)).tolist() == [
        [[True, False, False, True], [False] * 4]
    ]
    scores = looking_scores(Looked(None, cells, words), batch, (2, 2))
    # The mean of the rounds is 0.3, 0.4, 0.15, 0.15; the second question has no box.
    assert scores == pytest.approx(
        {
            "pointing": 0.0,
            "mass": 0.45,
            "area": 0.5,
            "word_pointing": 0.5,
            "word_mass": 0.55,
            "word_share": (1 / 3 + 1 / 2) / 2,
        }
    )


def test_a_run_is_not_resumed_on_other_pictures(tmp_path):
    EXPERIMENT.begin(tmp_path)
    EXPERIMENT.check(tmp_path)
    other = dataclasses.replace(EXPERIMENT.task, seed=1)
    with pytest.raises(ValueError, match="the pictures or questions have changed since"):
        dataclasses.replace(EXPERIMENT, task=other).check(tmp_path)

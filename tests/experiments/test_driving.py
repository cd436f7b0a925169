"""Driving end to end, on tiny sizes: trained, drawn, reopened and measured."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from attn_jax.models import EgoAttention
from experiments import command, load, reopen
from experiments.driving import Driven, drive_scores
from experiments.truth.ways import maps

TINY = ["--task.train", "64", "--task.validation", "8", "--task.test", "48", "--train.epochs", "1"]
TINY += ["--train.batch-size", "32", "--train.steps-per-call", "1"]
TINY += ["--model.features", "8", "--model.hidden-dim", "11"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    assert command.train("drive", [*TINY, "--runs", str(runs)]) == 0
    return command.last_run(runs / "drive")


def test_a_run_has_a_report_a_card_and_scores(run):
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    for name in ("leader", "nearest_ahead", "lane_precision", "nearest_precision", "accuracy"):
        assert 0 <= last[f"test/{name}"] <= 1
    assert last["test/r2"] < 1
    page = (run / "report.html").read_text()
    assert "Which cars it looks at" in page
    assert "How far can this be believed?" in page
    model, variables, task = load(run)
    scenes = task.prepare(task.load()["test"][0])
    acceleration, change = model.apply(variables, scenes["cars"], scenes["exists"])
    assert (acceleration.shape, change.shape) == ((48,), (48, 3))


def test_its_evidence_is_asked_for_in_every_way_it_has(run):
    experiment, params = reopen.reopen_experiment(run, "last")
    evidence = experiment.evidence(params).first(4)
    bucket = experiment.task.load()["test"][0]
    slowed = bucket["reacted"][:, 0].any(-1)
    np.testing.assert_array_equal(evidence.truth, bucket["reacted"][slowed][:4, 0, 1:])
    asked = maps(evidence)
    assert {"raw attention", "integrated gradients", "leave-one-out"} <= set(asked)
    for values in asked.values():
        assert (values[~evidence.exists] == 0).all()


def test_scores_by_hand():
    # Three cars: the driver's, one 20 m behind in the next lane, and one 30 m ahead in the own.
    scenes = {
        "place": np.array([[200.0, 180.0, 230.0]] * 2),
        "exists": np.ones((2, 3), bool),
        "driven": np.array([0.0, 1.0]),
        "change": np.array([0, 2]),
        "reacted": np.array([[[False, False, True], [False, True, True]]] * 2),
    }
    driven = Driven(
        acceleration=np.array([0.0, 0.5]),
        change=np.array([[2.0, 0.0, 1.0], [2.0, 0.0, 1.0]]),
        weights=np.array([[[0.4, 0.6], [0.5, 0.5]], [[0.8, 0.2], [0.9, 0.1]]]),
    )
    assert drive_scores(scenes, driven) == {
        "r2": 0.5,
        "accuracy": 0.5,
        "changes_found": 0.0,
        "leader": 0.5,
        "nearest_ahead": 1.0,
        "lane_precision": 1.0,
        "nearest_precision": 1.0,
    }


def test_it_learns_one_batch_by_heart_in_whatever_order_the_cars_come(run):
    experiment, _ = reopen.reopen_experiment(run, "last")
    bucket = {name: array[:16] for name, array in experiment.task.load()["train"][0].items()}
    batch = experiment.task.prepare(bucket)
    model, optimizer = EgoAttention(features=16, hidden_dim=32), optax.adam(1e-2)
    params = model.init(jax.random.key(0), batch["cars"], batch["exists"])["params"]

    def objective(params):
        outputs = model.apply({"params": params}, batch["cars"], batch["exists"])
        return experiment.loss(outputs, batch)[0]

    @jax.jit
    def fit(params):
        def step(_, carry):
            params, state = carry
            updates, state = optimizer.update(jax.grad(objective)(params), state)
            return optax.apply_updates(params, updates), state

        return jax.lax.fori_loop(0, 250, step, (params, optimizer.init(params)))[0]

    fitted = {"params": fit(params)}
    acceleration, change = model.apply(fitted, batch["cars"], batch["exists"])
    assert (change.argmax(-1) == batch["change"]).all()
    np.testing.assert_allclose(acceleration, batch["acceleration"], atol=0.1)
    order = jnp.array([0, *np.random.default_rng(0).permutation(np.arange(1, 16))])
    shuffled = model.apply(fitted, batch["cars"][:, order], batch["exists"][:, order])
    np.testing.assert_allclose(shuffled[0], acceleration, atol=1e-5)
